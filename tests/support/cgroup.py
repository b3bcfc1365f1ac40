"""A memory cgroup of a test's own, as a container has one: what runs in it may use so much and no more."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import patient

ROOT = Path("/sys/fs/cgroup")
REMOVE_SECONDS = 10.0


def _as_root(*command: str) -> None:
    subprocess.run([*(() if os.geteuid() == 0 else ("sudo", "-n")), *command], check=True)


@dataclass(frozen=True)
class MemoryCgroup:
    """`program` starts what follows it inside."""

    path: Path

    @property
    def program(self) -> tuple[str, ...]:
        return ("sh", "-c", f'echo $$ >{self.path}/cgroup.procs && exec "$@"', "sh")

    def _number(self, *names: str) -> int:
        """The first of these files that there is: version 2 of cgroups has other names than version 1."""
        return next(int((self.path / name).read_text()) for name in names if (self.path / name).exists())

    @property
    def peak(self) -> int:
        """The most bytes that were ever charged, cache of files included."""
        return self._number("memory.peak", "memory.max_usage_in_bytes")

    @property
    def kills(self) -> int:
        """How many processes the kernel killed for memory in it."""
        events = self.path / ("memory.events" if (self.path / "memory.events").exists() else "memory.oom_control")
        fields = dict(line.split() for line in events.read_text().splitlines())
        return int(fields["oom_kill"])


def _parent() -> Path:
    """The memory cgroup that this process is in, or the root of all where it is not to be seen."""
    version2 = (ROOT / "cgroup.controllers").exists()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if version2 and controllers == "":
            # Processes live in leaves only: beside this process's, not below it.
            return ROOT / Path(path).parent.relative_to("/")
        if "memory" in controllers.split(","):
            return ROOT / "memory" / path.lstrip("/")
    raise AssertionError("there is no memory cgroup to make another one in")


@contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """A cgroup that may use `limit` bytes; needs root, or sudo without a password. Empty it before it ends."""
    parent = _parent()
    path = parent / f"tidings-{secrets.token_hex(4)}"
    if (parent / "cgroup.subtree_control").exists():
        _as_root("sh", "-c", f"echo +memory >{parent}/cgroup.subtree_control")
    _as_root("mkdir", str(path))
    try:
        name = "memory.max" if (path / "memory.max").exists() else "memory.limit_in_bytes"
        _as_root("sh", "-c", f"echo {limit} >{path}/{name}")
        # Whoever runs the test may put its own processes there.
        _as_root("chown", str(os.geteuid()), str(path), str(path / "cgroup.procs"))
        yield MemoryCgroup(path)
    finally:
        deadline = time.monotonic() + patient(REMOVE_SECONDS)
        while (path / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        _as_root("rmdir", str(path))
