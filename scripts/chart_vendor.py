"""Pack each chart that is part of another into that one's `charts/`, as `helm package` packs it.

Archives and not links: Flux drops links, and every command of Helm warns of them. An archive is written again only when
a file in it has changed, since Helm puts the time into each.

    python scripts/chart_vendor.py           # write
    python scripts/chart_vendor.py --check   # exit code 1 when something would change
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from shutil import move
from tempfile import TemporaryDirectory

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[1]
PARENTS = ("charts/tidings", "deploy/helm")
"""Charts that have others in them; one that is in another comes first."""


def contents(archive: Path) -> dict[str, bytes]:
    """The files in an archive; none where there is no archive."""
    if not archive.exists():
        return {}
    with tarfile.open(archive) as packed:
        files = [(member.name, packed.extractfile(member)) for member in packed if member.isfile()]
        return {name: file.read() for name, file in files if file is not None}


def vendor(parent: Path, *, check: bool) -> list[Path]:
    """Pack what a chart depends on, and remove what it does not; the paths that changed, or would."""
    into = parent / "charts"
    wanted, changed = set(), []
    with TemporaryDirectory() as scratch:
        for dependency in yaml.safe_load((parent / "Chart.yaml").read_text())["dependencies"]:
            source = parent / dependency["repository"].removeprefix("file://")
            packed = Path(helm.package(source.resolve(), destination=scratch))
            target = into / packed.name
            wanted.add(target)
            if contents(packed) != contents(target):
                changed.append(target)
                if not check:
                    into.mkdir(exist_ok=True)
                    move(packed, target)
    stale = [path for path in sorted(into.glob("*")) if path not in wanted]
    if not check:
        for path in stale:
            path.unlink()
    return changed + stale


def main() -> int:
    """Write or check; the exit code."""
    check = "--check" in sys.argv[1:]
    changed = [path for name in PARENTS for path in vendor(ROOT / name, check=check)]
    if check and changed:
        names = ", ".join(str(path.relative_to(ROOT)) for path in changed)
        sys.stderr.write(f"Out of date: {names}. Run: make charts\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
