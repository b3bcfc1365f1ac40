"""Where the version stands. pyproject.toml decides, the other places repeat it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from scripts.release.running import ReleaseError

VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
"""Semantic versioning without pre-releases: Python writes those in another way (1.0.0rc1, not 1.0.0-rc.1), and files of
one release would have two versions."""
PLACES: Final = (
    ("pyproject.toml", r'^version = "(.*)"$'),
    ("clients/js/package.json", r'^  "version": "(.*)"'),
    ("charts/rabbitmq/Chart.yaml", r"^version: (.*)$"),
    ("charts/tidings/Chart.yaml", r'^(?: +version|version|appVersion): "?([^"\n]*)"?$'),
    ("deploy/helm/Chart.yaml", r'^(?: +version|version|appVersion): "?([^"\n]*)"?$'),
    ("docker/Dockerfile", r"^ARG VERSION=(.*)$"),
    ("docker/compose.yaml", r"image: tidings:(.*)$"),
    ("deploy/gitops/argocd.yaml", r"targetRevision: v(.*)$"),
    ("deploy/gitops/flux.yaml", r"tag: v([^}\n]*)"),
    ("docs/reference/openapi-gateway.yaml", r"^  version: (.*)$"),
    ("docs/reference/openapi-admin.yaml", r"^  version: (.*)$"),
    ("docs/reference/asyncapi.yaml", r"^  version: (.*)$"),
    ("README.md", r"Tidings is (\d\S*):"),
    ("README.md", r"--version (\S+)"),
)
"""Files, and how each of them says the version, once or more often."""
NEWEST: Final = ("CHANGELOG.md", r"^## \[(\d[^\]]*)\]")
"""The first that the changelog has."""


def differing(version: str, root: Path) -> dict[str, str]:
    """The files that say another version, and what they say."""
    found = {}
    for name, pattern in PLACES:
        said = re.findall(pattern, (root / name).read_text(), re.MULTILINE)
        if others := sorted({each for each in said if each != version}) or ([] if said else ["none"]):
            found[name] = ", ".join(others)
    name, pattern = NEWEST
    newest = re.search(pattern, (root / name).read_text(), re.MULTILINE)
    if newest is None or newest[1] != version:
        found[name] = newest[1] if newest else "none"
    return found


def check(version: str, root: Path) -> None:
    """Raise ReleaseError unless this is a version, and the one that every file says."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"a version is MAJOR.MINOR.PATCH, such as 1.2.3: {version!r}")
    if found := differing(version, root):
        places = "".join(f"\n  {name}: {said}" for name, said in found.items())
        raise ReleaseError(
            f"the version to release is {version}, and these files say another:{places}\n"
            "Change the version in each, run `make charts`, and commit."
        )
