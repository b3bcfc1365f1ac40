"""Write the API reference in clients/js/README.md from the types that tsc makes of the modules.

python scripts/client_reference.py           # write
python scripts/client_reference.py --check   # exit code 1 when something would change
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "clients" / "js"
TSC = ROOT / "tests" / "client" / "npm" / "node_modules" / ".bin" / "tsc"
REFERENCE = re.compile(
    r"(?<=<!-- reference: written by make client -->\n)(.*?)(?=<!-- end of reference -->)", re.DOTALL
)

VALUE = re.compile(r'^export \{ (?P<names>[\w, ]+) \} from "\./(?P<module>[\w/]+)\.js";$', re.MULTILINE)
TYPE = re.compile(r'^export type (?P<name>\w+) = import\("\./(?P<module>[\w/]+)\.js"\)', re.MULTILINE)
COMMENT = re.compile(r"/\*\*(.*?)\*/\n?", re.DOTALL)
PARAMETER = re.compile(r"@param \{.*\} \[?(?P<name>\w+)\]? (?P<text>.+)|@returns \{.*?\} (?P<returned>.+)")
HIDDEN = re.compile(r"^ *(?:#private;|/\*\* @param .*\*/)\n", re.MULTILINE)


def declared(folder: Path) -> None:
    """Make the types, in a folder."""
    command = [str(TSC), "--project", str(CLIENT), "--outDir", str(folder), "--declarationMap", "false"]
    subprocess.run(command, check=True)  # noqa: S603


def comments(text: str) -> list[tuple[int, str]]:
    """Where each comment ends, and what it says."""
    return [
        (found.end(), re.sub(r"^ *\* ?", "", found[1], flags=re.MULTILINE).strip()) for found in COMMENT.finditer(text)
    ]


def defines(comment: str, name: str) -> bool:
    """Whether it is the comment of a type; tsc leaves these below the declarations."""
    return any(tag.split()[-1] == name for tag in re.split(r"^@", comment, flags=re.MULTILINE) if "typedef" in tag[:7])


def section(name: str, text: str) -> str:
    """The heading, what it is for, and the declaration."""
    (start,) = re.finditer(rf"^export (?:declare )?(?P<kind>class|function|type) {name}\b", text, re.MULTILINE)
    lines: list[str] = []
    for line in text[start.start("kind") :].splitlines():
        lines.append(line)
        if "\n".join(lines).count("{") == "\n".join(lines).count("}"):
            break
    code = HIDDEN.sub("", "\n".join(lines) + "\n")
    typed = start["kind"] == "type"
    said = [said for end, said in comments(text) if (defines(said, name) if typed else end == start.start())]
    prose = re.split(r"^@", said[0] if said else "", maxsplit=1, flags=re.MULTILINE)[0].strip()
    parameters = "".join(
        f"- `{found['name']}`: {found['text']}\n" if found["name"] else f"- gives {found['returned']}\n"
        for found in PARAMETER.finditer(said[0] if said and start["kind"] == "function" else "")
    )
    parts = (f"### `{name}`", prose, parameters.strip(), f"```ts\n{code}```")
    return "\n\n".join(part for part in parts if part) + "\n"


def reference() -> str:
    """All that the package exports, in its order."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        declared(folder)
        index = (folder / "tidings.d.ts").read_text()
        exports = [(name, found["module"]) for found in VALUE.finditer(index) for name in found["names"].split(", ")]
        exports += [(found["name"], found["module"]) for found in TYPE.finditer(index)]
        return "\n".join(section(name, (folder / f"{module}.d.ts").read_text()) for name, module in exports)


def main(arguments: list[str]) -> int:
    """Write it, or say whether it is written."""
    readme = CLIENT / "README.md"
    before = readme.read_text()
    after = REFERENCE.sub(lambda _: reference(), before)
    if "--check" in arguments:
        return int(before != after)
    readme.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
