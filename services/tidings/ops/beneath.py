"""What is below a directory and nothing else, whoever sets links there and whenever.

A mailbox belongs to its user, who may put links, pipes and directories into it, and exchange them between a look and
a touch. So nothing here goes by a path. Each step is one name, opened in the directory before it and refused where it
is a link (openat(2) with O_NOFOLLOW); from then on the open directory counts, whatever becomes of its name. One name
at a time leaves no `..` either, which is all that openat2(2) with RESOLVE_BENEATH would add, where a kernel has it.

Mounts are followed: they are the administrator's. Hard links need no care: a directory can have none, and the kernel
lets nobody link to a file that is not theirs (sysctl fs.protected_hardlinks, on in every distribution).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final, Self

# O_PATH takes no permission but that to go through the directory.
_STEP: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Nonblocking: waits neither for somebody who writes to a pipe, nor for one who has a lease on the file.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NO_NAMES: Final = frozenset(["", ".", ".."])

Name = str | bytes
"""One name in a directory, as bytes or as os.fsdecode makes text of them."""


class Beneath:
    """An open directory, closed at the end of a `with` block. All that is done is done in it or below it."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: Path | bytes) -> Self:
        """Open the directory at a path. That may lead through links: they belong to whoever owns what is above.

        Raises OSError, NotADirectoryError for what is none.
        """
        # With `/.` the directory is not the last step, which is what has an automounter mount it.
        return cls(os.open(os.path.join(os.fsencode(path), b"."), _STEP))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def identity(self) -> tuple[int, int]:
        """What tells the directory from every other there is at this moment."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    @property
    def own_path(self) -> bytes:
        """A path to this very directory, for this process and while it is open."""
        return b"/proc/self/fd/%d" % self._descriptor

    def directory(self, name: Name, *further: Name) -> Beneath:
        """Open a directory in this one, or further below. Raises OSError, NotADirectoryError for a link, too."""
        step = Beneath(os.open(_one(name), _STEP | os.O_NOFOLLOW, dir_fd=self._descriptor))
        if not further:
            return step
        with step:
            return step.directory(*further)

    @contextmanager
    def entries(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        """What is in the directory, as os.scandir tells it. Raises OSError."""
        descriptor = os.open(".", _LIST, dir_fd=self._descriptor)
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)

    def directories(self) -> list[str]:
        """The names of the directories in it, links aside. Raises OSError."""
        return self._names(os.DirEntry.is_dir)

    def files(self) -> list[str]:
        """The names of the regular files in it, links aside. Raises OSError."""
        return self._names(os.DirEntry.is_file)

    def _names(self, wanted: Callable[..., bool]) -> list[str]:
        names = []
        with self.entries() as entries:
            for entry in entries:
                try:
                    if wanted(entry, follow_symlinks=False):
                        names.append(entry.name)
                except OSError:
                    # What cannot be asked is none: one entry spoils no list.
                    continue
        return names

    def status(self, name: Name) -> os.stat_result:
        """What is known of an entry: of a link itself. Raises OSError."""
        return os.stat(_one(name), dir_fd=self._descriptor, follow_symlinks=False)

    def open(self, name: Name) -> FileIO:
        """Open a regular file for reading, without ever waiting for anybody.

        Raises FileNotFoundError where there is none of this name, be it a link, a pipe or a directory, and OSError
        for one that cannot be read.
        """
        try:
            descriptor = os.open(_one(name), _READ, dir_fd=self._descriptor)
        except OSError as error:
            # So links and sockets say what they are.
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise _no_file(name) from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _no_file(name)
        return FileIO(descriptor)

    def create(self, name: Name, content: bytes) -> None:
        """Make a file, on disk when this returns, or not at all. Raises OSError."""
        descriptor = os.open(_one(name), _CREATE, 0o600, dir_fd=self._descriptor)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                self.remove(name)
            raise

    def move(self, name: Name, to: Beneath, new_name: Name) -> None:
        """Rename an entry: a link itself. Raises OSError."""
        os.rename(_one(name), _one(new_name), src_dir_fd=self._descriptor, dst_dir_fd=to._descriptor)

    def remove(self, name: Name) -> None:
        """Remove an entry that is no directory: a link itself. Raises OSError."""
        os.unlink(_one(name), dir_fd=self._descriptor)


def _one(name: Name) -> Name:
    """The name, which leads nowhere else."""
    text = os.fsdecode(name)
    if text in _NO_NAMES or "/" in text or "\0" in text:
        raise _no_file(name)
    return name


def _no_file(name: Name) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "no such file", os.fsdecode(name))
