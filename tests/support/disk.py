"""Small disks of a test's own, and mounts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(at: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes in memory. Mounting it takes root."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        # Lazily: what a test that failed still has open must not keep it.
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextmanager
def mounted(what: Path, at: Path) -> Iterator[None]:
    """A directory in the place of another one, by a mount. Takes root."""
    subprocess.run(["mount", "--bind", str(what), str(at)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Nothing on the disk can be changed for a while."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@contextmanager
def filled_up(disk: Path) -> Iterator[None]:
    """Nothing more can be written to the disk for a while."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    yield
    ballast.unlink()
