"""Looks at directories of Maildirs: the only code that lists them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tidings.publisher.sources import maildir_diff
from tidings.publisher.sources.maildir_diff import INBOX, Listing


class RootAwayError(OSError):
    """The root is not the directory it was: what is missing below it says nothing."""


class MaildirTree:
    """`<root>/<account>/{new,cur}` and `<root>/<account>/.<folder>/{new,cur}`.

    An account's directory may be a symbolic link, which whoever owns the root has set; links below it are its user's
    and are not followed. Every method raises OSError for what is there but cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        self._identity: tuple[int, int] | None = None

    def arrive(self) -> None:
        """Take the directory that is now at the root's path for the root. Raises OSError when there is none."""
        self._identity = self._now()

    def confirm(self) -> None:
        """Raise RootAwayError when another directory, or none, has taken the root's place."""
        try:
            there = self._now()
        except OSError as error:
            raise RootAwayError(error.errno, error.strerror) from None
        if there != self._identity:
            raise RootAwayError(0, "replaced by another directory")

    def _now(self) -> tuple[int, int]:
        status = os.stat(self.root)
        return status.st_dev, status.st_ino

    def path(self, *parts: bytes) -> bytes:
        """The path of something below the root."""
        return os.path.join(self.root, *parts)

    def directories(self) -> list[bytes]:
        """The names of the directories in the root."""
        with os.scandir(self.root) as entries:
            return [entry.name for entry in entries if entry.is_dir()]

    def folders(self, account: str) -> list[bytes] | None:
        """The folders an account may have, INBOX first; None when there is no such account."""
        try:
            with os.scandir(self.path(account.encode())) as entries:
                folders = [
                    entry.name
                    for entry in entries
                    if entry.name.startswith(b".") and entry.is_dir(follow_symlinks=False)
                ]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return [INBOX, *folders]

    def listing(self, account: str, folder: bytes) -> Listing | None:
        """The messages of a folder, or None when it has neither `new/` nor `cur/`.

        `new/` is read first: a message on its way to `cur/` is then seen twice at worst, never missed. One that is
        renamed within `cur/` can still be missed, since POSIX leaves open what readdir then shows.
        """
        new, cur = (self._messages(account.encode(), folder, each) for each in maildir_diff.MESSAGE_DIRECTORIES)
        return None if new is None and cur is None else maildir_diff.listing(new or (), cur or ())

    def are_messages(self, account: str, folder: bytes, names: Iterable[bytes]) -> frozenset[bytes]:
        """Those of `names`, seen in `new/`, that are messages. One that has moved on already was one."""
        return frozenset(name for name in names if self._may_be_message(account.encode(), folder, b"new", name))

    def _may_be_message(self, *parts: bytes) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self.path(*parts)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return True

    def _messages(self, *parts: bytes) -> list[bytes] | None:
        try:
            with _opened(self.path(*parts)) as descriptor, os.scandir(descriptor) as entries:
                return [os.fsencode(entry.name) for entry in entries if entry.is_file(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return None


@contextmanager
def _opened(path: bytes) -> Iterator[int]:
    """A directory's descriptor. Raises NotADirectoryError for a symbolic link, too."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
