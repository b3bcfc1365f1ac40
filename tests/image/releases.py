"""Releases that tests make: by `make release`, of a copy of this repository that has one commit."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.image.engine import BUILD_SECONDS

ROOT = Path(__file__).resolve().parents[2]
COSIGN = ROOT / "scripts" / "cosign"
VERSION = version("tidings")
PROGRAMS = "tests/client/npm/node_modules"
THERE = (".venv", PROGRAMS)
"""What a contributor has installed."""
PREPARED = (".venv/run.stamp", ".venv/package.stamp", ".venv/dev.stamp", f"{PROGRAMS}/.package-lock.json")
LEFT_OUT = (".git", ".venv", "node_modules", "build", "dist", "var", "__pycache__", ".*_cache", ".hypothesis")
AUTHOR = ("-c", "user.name=Tidings", "-c", "user.email=tidings@example.test")


class NoReleaseError(Exception):
    """`make release` has failed; the text is what it said."""


@dataclass(frozen=True)
class Keys:
    """A pair of cosign's, without a password."""

    private: Path
    public: Path

    @classmethod
    def generated(cls, directory: Path) -> Keys:
        done = cosign("generate-key-pair", cwd=directory)
        assert done.returncode == 0, done.stderr
        return cls(directory / "cosign.key", directory / "cosign.pub")


@dataclass(frozen=True)
class Release:
    """What was published. `digests` are those of images and charts by name, `registry` included."""

    repository: Path
    registry: str
    files: Path
    digests: dict[str, str]

    @property
    def image(self) -> str:
        return self.exactly("tidings")

    def exactly(self, name: str) -> str:
        """A reference to an image or a chart that stays what it is."""
        return f"{self.registry}/{name}@{self.digests[f'{self.registry}/{name}']}"


def cosign(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run cosign as docs/contribute/release.md does."""
    env = {**os.environ, "COSIGN_PASSWORD": ""}
    return subprocess.run([COSIGN, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def copied(into: Path) -> Path:
    """This repository as it is, committed in a repository of its own."""
    shutil.copytree(ROOT, into, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for command in (("init", "--quiet"), ("add", "--all"), (*AUTHOR, "commit", "--quiet", "--message", "All of it")):
        subprocess.run(["git", "-C", into, *command], check=True)
    return _furnished(into)


def cloned(repository: Path, into: Path) -> Path:
    """The same commit in another place."""
    subprocess.run(["git", "clone", "--quiet", repository, into], check=True)
    return _furnished(into)


def make(repository: Path, registry: str, base: str, keys: Keys, zone: str = "UTC") -> Release:
    """Make a release, on a machine in this time zone. Raises NoReleaseError."""
    settings = {"VERSION": VERSION, "REGISTRY": registry, "BASE": base, "KEY": str(keys.private)}
    done = subprocess.run(
        [
            *("make", "--silent", "release"),
            *(part for file in PREPARED for part in ("--old-file", file)),
            *("=".join(each) for each in settings.items()),
        ],
        cwd=repository,
        env={**os.environ, "COSIGN_PASSWORD": "", "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS * 2,
    )
    if done.returncode:
        raise NoReleaseError(f"{done.stdout}{done.stderr}")
    files = repository / "build" / "release" / VERSION
    published = [line.rpartition("@") for line in (files / "images.txt").read_text().splitlines()]
    return Release(repository, registry, files, {name.rpartition(":")[0]: digest for name, _, digest in published})


def _furnished(repository: Path) -> Path:
    for name in THERE:
        (repository / name).symlink_to(ROOT / name)
    return repository
