"""The sources of a release: the files of one commit and nothing else, with the time of that commit."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from scripts.release.running import ReleaseError, run

LOCKED = ("requirements/run.txt", "requirements/build.txt")
"""What the image is made from besides the sources."""


@dataclass(frozen=True)
class Tree:
    """`path` has a commit's files. `time` is the commit's, in seconds since 1970: SOURCE_DATE_EPOCH."""

    path: Path
    commit: str
    time: int

    @classmethod
    def of_the_commit(cls, repository: Path, into: Path) -> Tree:
        """Export what is checked out. Raises ReleaseError where a file differs from the commit."""
        git = ("git", "-C", str(repository))
        if changed := run(*git, "status", "--porcelain"):
            raise ReleaseError(f"commit first, or stash: these differ from the commit\n{changed}")
        commit = run(*git, "rev-parse", "HEAD")
        archive = into.with_suffix(".tar")
        run(*git, "archive", "--output", str(archive), commit)
        with tarfile.open(archive) as packed:
            packed.extractall(into, filter="data")
        tree = cls(into, commit, int(run(*git, "show", "--no-patch", "--format=%ct", commit)))
        tree.date()
        return tree

    @property
    def env(self) -> dict[str, str]:
        """The environment of whatever builds of this tree."""
        return {"SOURCE_DATE_EPOCH": str(self.time), "PYTHONPATH": str(self.path / "services")}

    def date(self, *paths: Path) -> None:
        """Give files the time of the commit: these, or all."""
        for path in paths or self.path.rglob("*"):
            os.utime(path, (self.time, self.time), follow_symlinks=False)

    def identity(self) -> dict[str, str]:
        """The project's homepage and repository, from the package of the browser client: one place for both."""
        package = json.loads((self.path / "clients" / "js" / "package.json").read_text())
        return {"homepage": package["homepage"], "repository": package["repository"]["url"]}

    def materials(self) -> dict[str, dict[str, str]]:
        """What a release is made from: URI and digests."""
        locks = {name: hashlib.sha256((self.path / name).read_bytes()).hexdigest() for name in LOCKED}
        return {
            self.identity()["repository"]: {"gitCommit": self.commit},
            **{name: {"sha256": digest} for name, digest in locks.items()},
        }
