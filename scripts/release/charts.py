"""The charts of a release: they name its image, by digest."""

from __future__ import annotations

import sys
from pathlib import Path

import helm_python as helm

from scripts.release.running import ReleaseError, run
from scripts.release.tree import Tree

CHARTS = {"rabbitmq": "charts/rabbitmq", "tidings": "charts/tidings", "tidings-suite": "deploy/helm"}
VALUES = "charts/tidings/values.yaml"


def pin(tree: Tree, repository: str, digest: str) -> None:
    """Have the tree's charts install this image, and write what follows from their values."""
    path = tree.path / VALUES
    text = path.read_text()
    for old, new in (
        ("  repository: tidings\n", f"  repository: {repository}\n"),
        ('  digest: ""\n', f"  digest: {digest}\n"),
    ):
        if text.count(old) != 1:
            raise ReleaseError(f"{VALUES} should have one line {old.strip()!r}")
        text = text.replace(old, new)
    path.write_text(text)
    for script in ("chart_values.py", "chart_vendor.py"):
        tree.date()
        run(sys.executable, str(tree.path / "scripts" / script), env=tree.env)
    tree.date()


def pack(tree: Tree, into: Path) -> dict[str, Path]:
    """Pack each chart; the archives by name."""
    packed = {name: Path(helm.package(tree.path / path, destination=into)) for name, path in CHARTS.items()}
    tree.date(*packed.values())
    return packed
