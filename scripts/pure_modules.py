"""Print the files of the pure modules, comma-separated: those whose docstring says so.

They decide, and touch no socket, clock or task, neither themselves nor by what they import. `--check` looks whether
that is so, and that the modules of the rooms that are pure as a whole say it; what is wrong goes to stderr.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tidings", "asyncio_pprof")
IMPURE = frozenset({"asyncio", "socket", "select", "time", "uvloop", "aio_pika", "fastapi", "starlette", "uvicorn"})
ROOMS = "Pure rooms touch no socket, clock or task"
"""The import contract that names them."""


def pure_modules() -> dict[str, Path]:
    """Every module whose docstring says that it is pure, and its file."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / "services" / package).rglob("*.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
            if "Pure." in docstring or docstring.startswith("Pure:"):
                parts = path.relative_to(ROOT / "services").with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def pure_rooms() -> list[str]:
    """The packages that are pure as a whole."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (contract for contract in linter["contracts"] if contract["name"] == ROOMS)
    return list(contract["source_modules"])


def faults(pure: dict[str, Path]) -> list[str]:
    """What is wrong: a chain of imports for each, or a module of a pure room that does not say so."""
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True)
    found = []
    for name in pure:
        upstream = graph.find_upstream_modules(name)
        for impure in sorted(IMPURE & upstream):
            chain = graph.find_shortest_chain(name, impure) or ()
            found.append(f"{name} says it is pure, and imports {impure}: {' -> '.join(chain)}")
    for room in pure_rooms():
        inside = {room, *graph.find_descendants(room)}
        found += [f"{name} is in a pure room and does not say so" for name in sorted(inside - pure.keys())]
    return found


def main() -> None:
    """Print the files, or check."""
    pure = pure_modules()
    if "--check" in sys.argv:
        wrong = faults(pure)
        sys.exit("\n".join(wrong) or 0)
    sys.stdout.write(",".join(str(path.relative_to(ROOT)) for path in pure.values()))


if __name__ == "__main__":
    main()
