"""A journal's directory as its one reader has it: claims files, reads and removes them. Everything here blocks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tidings.publisher.sources.journal.format import LOST, MAX_LINE_BYTES, claimed_name, sort

MAX_LINES: Final = 1_000
MAX_BYTES: Final = 1024 * 1024
"""What is read at once."""


class JournalTakenError(OSError):
    """Another process reads this journal."""


class Claimed(NamedTuple):
    """A file that nobody writes to any more, or will have written again."""

    name: str
    file: BinaryIO


class Unusable(NamedTuple):
    """What cannot be told, and why."""

    name: str
    reason: str


class JournalDirectory:
    """The directory that is at a path now, read by this process alone until it is closed."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError, and JournalTakenError where another process reads it."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if error.errno == errno.EWOULDBLOCK:
                raise JournalTakenError(errno.EWOULDBLOCK, "another publisher reads this directory") from None
            raise
        self._claimed: Claimed | None = None
        self.unusable: list[Unusable] = []
        """What the last `claim` had to leave alone."""

    def close(self) -> None:
        """Let another process read it. What is claimed stays so."""
        self._leave()
        os.close(self._descriptor)

    def _leave(self) -> None:
        if self._claimed is not None:
            self._claimed.file.close()
            self._claimed = None

    @property
    def own_path(self) -> Path:
        """A path to what is open, wherever it has been moved."""
        return Path(f"/proc/self/fd/{self._descriptor}")

    def is_in_place(self) -> bool:
        """Whether it still is what is at its path."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def claim(self) -> Claimed | None:
        """The next file to tell, open until the next claim; None when there is none.

        Raises OSError when files cannot be renamed.
        """
        self._leave()
        self._claimed = self._next()
        return self._claimed

    def _next(self) -> Claimed | None:
        names = sort(os.listdir(self._descriptor))
        self.unusable = [Unusable(name, "is not a file name of a journal") for name in names.foreign]
        for name in names.claimed:
            if (file := self._opened(name)) is not None:
                return Claimed(name, file)
        waiting = (*((LOST,) if names.lost else ()), *names.pending)
        for name in waiting:
            # Opened first: what cannot be read stays where its writer finds it.
            if (file := self._opened(name)) is not None:
                claimed = claimed_name(names.next_number, name)
                try:
                    os.rename(name, claimed, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
                except BaseException:
                    file.close()
                    raise
                return Claimed(claimed, file)
        return None

    def remove(self, claimed: Claimed) -> None:
        """What it told is safe. Raises OSError."""
        # Removed by hand, perhaps.
        with suppress(FileNotFoundError):
            os.unlink(claimed.name, dir_fd=self._descriptor)

    def _opened(self, name: str) -> BinaryIO | None:
        """A regular file, or None. What else may be there is not waited for, nor followed."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.unusable.append(Unusable(name, f"cannot be read: {error.strerror}"))
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            self.unusable.append(Unusable(name, "is not a regular file"))
            return None
        return open(descriptor, "rb")


def read_lines(file: BinaryIO) -> list[bytes]:
    """The next lines of a file, none at its end. Of one that is too long, its beginning and its end."""
    found: list[bytes] = []
    size = 0
    while len(found) < MAX_LINES and size < MAX_BYTES and (line := file.readline(MAX_LINE_BYTES + 2)):
        size += len(line)
        rest = line
        while not rest.endswith(b"\n") and len(rest) > MAX_LINE_BYTES:
            rest = file.readline(MAX_LINE_BYTES + 2)
        found.append(line if rest is line else line + rest[-1:])
    return found
