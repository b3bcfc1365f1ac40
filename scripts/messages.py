"""Write the texts that the services tell people as pages for textlint: messages.py FOLDER.

They are the log lines, error messages, problem details, `--help` and the words of tables: every text in the code that
reads like a sentence. FOLDER gets a page for each module, `services/NAME.py.md`, with each text on its own line of the
module, so that what textlint finds is where it says.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THREE_WORDS = re.compile(r"(?<![\w-])[a-z]+(?: [a-z]+){2}(?![\w-])")
FOR_MACHINES = re.compile(r"<\w|[\n\\]|'(?:none|self)'|\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE)\b")
"""Of markup, patterns, policies and SQL."""
MARKDOWN = re.compile(r"([\\*_#<>\[\]|])")


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the text of each literal below a node but docstrings; a value that is put in is `_`."""
    match node:
        case ast.Expr(ast.Constant(str())):
            return
        case ast.Constant(str(text)):
            yield node.lineno, MARKDOWN.sub(r"\\\1", text)
        case ast.JoinedStr(parts):
            said = (
                MARKDOWN.sub(r"\\\1", str(part.value)) if isinstance(part, ast.Constant) else "`_`" for part in parts
            )
            yield node.lineno, "".join(said)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from texts(child)


def page(source: str) -> str:
    """The sentences among the texts of a module, each at its line, or at the next one that is free."""
    lines: list[str] = []
    for number, text in sorted(texts(ast.parse(source))):
        sentence = text.strip()
        if THREE_WORDS.search(sentence) and not FOR_MACHINES.search(sentence):
            lines += [""] * (number - 1 - len(lines))
            end = "." if sentence[-1].isalnum() else ""
            said = sentence.replace("; ", ". ")
            lines.append(f"- {said[0].upper()}{said[1:]}{end}")
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Write the pages of all modules, in place of those of an earlier time."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    for path in sorted((ROOT / "services").rglob("*.py")):
        if text := page(path.read_text()):
            written = folder / f"{path.relative_to(ROOT)}.md"
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(text)


if __name__ == "__main__":
    main()
