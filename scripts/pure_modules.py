"""Print the files of the pure modules, comma-separated: those that the import contract of that name lists."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = "Pure modules touch no socket, clock or task"


def main() -> None:
    """Read the contract, so that purity and full branch coverage are asked of the same modules."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (contract for contract in linter["contracts"] if contract["name"] == CONTRACT)
    paths = (Path("services", *name.split(".")) for name in contract["source_modules"])
    sys.stdout.write(",".join(f"{path}/*" if (ROOT / path).is_dir() else f"{path}.py" for path in paths))


if __name__ == "__main__":
    main()
