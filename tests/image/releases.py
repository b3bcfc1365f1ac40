"""Releases that tests make: by `make release`, of a copy of this repository that has one commit."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess

from tests.image.engine import BUILD_SECONDS

ROOT = Path(__file__).resolve().parents[2]
COSIGN = ROOT / "scripts" / "cosign"
VERSION = version("tidings")
PROGRAMS = "tests/client/npm/node_modules"
THERE = (".venv", PROGRAMS)
"""What a contributor has installed."""
PREPARED = (".venv/run.stamp", ".venv/package.stamp", ".venv/dev.stamp", f"{PROGRAMS}/.package-lock.json")
LEFT_OUT = (".git", ".venv", "node_modules", "build", "dist", "var", "__pycache__", ".*_cache", ".hypothesis")
PUBLISHED = ("tidings", "charts/rabbitmq", "charts/tidings", "charts/tidings-suite")
"""The image and the charts."""
NO_LOG = "--insecure-ignore-tlog"
"""The keys are ours: no transparency log knows them."""
AUTHOR = ("-c", "user.name=Tidings", "-c", "user.email=tidings@example.test")


class NoReleaseError(Exception):
    """`make release` has failed; the text is what it said."""


@dataclass(frozen=True)
class Machine:
    """Where a release is made: `enter` is put in front of commands, `env` differs from the environment of the tests."""

    enter: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *command: str, cwd: Path | None = None, seconds: float | None = None) -> CompletedProcess[str]:
        env = {**os.environ, "COSIGN_PASSWORD": "", **self.env}
        return subprocess.run(
            [*self.enter, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )


HERE = Machine(env={"TZ": "UTC"})


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


def cosign(*arguments: str, cwd: Path | None = None, machine: Machine = HERE) -> CompletedProcess[str]:
    """Run cosign as docs/contribute/release.md does."""
    return machine.run(str(COSIGN), *arguments, cwd=cwd)


def verifies(keys: Keys, command: str, *arguments: str, machine: Machine = HERE) -> bool:
    """Whether cosign is content; it says so when it is not, and fails for nothing else."""
    done = cosign(command, "--key", str(keys.public), NO_LOG, *arguments, machine=machine)
    assert done.returncode == 0 or "error" in done.stderr.lower()
    return done.returncode == 0


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


def make(repository: Path, registry: str, base: str, keys: Keys, machine: Machine = HERE) -> Release:
    """Make a release. Raises NoReleaseError."""
    settings = {"VERSION": VERSION, "REGISTRY": registry, "BASE": base, "KEY": str(keys.private)}
    done = machine.run(
        *("make", "--silent", "release"),
        *(part for file in PREPARED for part in ("--old-file", file)),
        *("=".join(each) for each in settings.items()),
        cwd=repository,
        seconds=BUILD_SECONDS * 2,
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
