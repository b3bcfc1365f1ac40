"""What is made once and kept between runs, in the cache directory of the user ($XDG_CACHE_HOME, or ~/.cache)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def kept(kind: str) -> Path:
    """The directory of what is kept of a kind."""
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidings" / kind
    found.mkdir(parents=True, exist_ok=True)
    return found


def keyed(kind: str, name: str, *parts: bytes) -> Path:
    """Where something is kept that is made of these parts: another path for other parts."""
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
    return kept(kind) / f"{name}-{digest}"


def contents(sources: Path) -> list[bytes]:
    """What is in a file, or in all files of a directory."""
    files = [sources] if sources.is_file() else sorted(path for path in sources.rglob("*") if path.is_file())
    return [path.read_bytes() for path in files]


def made(path: Path, make: Callable[[Path], None]) -> Path:
    """The file or directory `path`. Whoever needs it first makes it, under another name, while all others wait."""
    with locked(path.with_name(f"{path.name}.lock")):
        if not path.exists():
            making = path.with_name(f"{path.name}.making")
            remove(making)
            make(making)
            making.rename(path)
    return path


def remove(path: Path) -> None:
    """Remove a file, or a directory with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody else has the lock, and have it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
