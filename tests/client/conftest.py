"""The package as npm packs it, installed where somebody else would have it."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.npm import NPM, tool

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "react"
CONSUMER = Path(__file__).parent / "consumer"


@dataclass(frozen=True)
class Package:
    """`folder` is a package of somebody else that has installed this one; `files` are those of the tarball."""

    folder: Path
    files: frozenset[str]

    @property
    def installed(self) -> Path:
        return self.folder / "node_modules" / "tidings-client"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    source = tmp_path_factory.mktemp("source")
    shutil.copy(ROOT / "LICENSE", source)
    shutil.copytree(ROOT / "clients", source / "clients", ignore=shutil.ignore_patterns("types", "LICENSE"))
    tool("npm", "pack", "--silent", "--pack-destination", str(source), cwd=source / "clients" / "js")
    (tarball,) = source.glob("*.tgz")
    folder = tmp_path_factory.mktemp("consumer")
    shutil.copytree(CONSUMER, folder, dirs_exist_ok=True)
    for example in EXAMPLE.glob("*.ts*"):
        shutil.copy(example, folder)
    (folder / "node_modules").mkdir()
    for name in ("@types", "react", "react-dom", "scheduler", "csstype"):
        (folder / "node_modules" / name).symlink_to(NPM / name)
    with tarfile.open(tarball) as archive:
        archive.extractall(folder / "node_modules", filter="data")
        files = frozenset(name.removeprefix("package/") for name in archive.getnames())
    package = Package(folder, files)
    (folder / "node_modules" / "package").rename(package.installed)
    return package


def manifest(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "package.json").read_text())
    assert isinstance(found, dict)
    return found
