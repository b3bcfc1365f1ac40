"""Print the licenses that a CycloneDX bill of materials names, as a table: licenses.py SBOM.

Exit code 1 when a component has none, or one that a project under Apache-2.0 should think about first (decision 4).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from license_expression import get_spdx_licensing

ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
) | {"LGPL-3.0-only"}
"""The last is of a library that is installed beside, unchanged, and that anybody can replace: psycopg."""
READ: Final = {
    ("IMAPClient", "4.1.0"): "BSD-3-Clause",
    ("protobuf", "7.36.2"): "BSD-3-Clause",
    ("webencodings", "0.6.1"): "BSD-3-Clause",
}
"""Licenses of packages whose metadata names none that SPDX knows, as somebody read them in their files. A new version
is read anew."""
_SPDX = get_spdx_licensing()


def licenses(component: dict[str, Any]) -> list[str]:
    """What a component is under, as SPDX expressions. Names that are none count only where there is nothing better."""
    given = component.get("licenses", [])
    expressions = [each["expression"] if "expression" in each else each["license"].get("id") for each in given]
    named = [each for each in expressions if each]
    read = READ.get((component["name"], component["version"]))
    return named or ([read] if read else [each["license"]["name"] for each in given])


def allowed(expression: str) -> bool:
    """Whether all licenses of an expression are."""
    return set(_SPDX.license_keys(expression)) <= ALLOWED


def main(path: str) -> int:
    """The exit code."""
    components = json.loads(Path(path).read_text())["components"]
    sys.stdout.write("| Component | Version | License |\n|---|---|---|\n")
    doubtful = []
    for component in components:
        under = licenses(component)
        sys.stdout.write(f"| {component['name']} | {component['version']} | {', '.join(under) or 'none'} |\n")
        if not under or not all(map(allowed, under)):
            doubtful.append(f"{component['name']} {component['version']}: {', '.join(under) or 'no license'}")
    for each in doubtful:
        sys.stderr.write(f"Not a license that was agreed on: {each}\n")
    return 1 if doubtful else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
