"""Looks at directories of Maildirs: the only code that lists them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tidings.ops.beneath import Beneath
from tidings.publisher.sources.maildir import diff
from tidings.publisher.sources.maildir.diff import INBOX, MESSAGE_DIRECTORIES, Directory, Listing, directory_of
from tidings.wire.mailfile import may_be_folder

GONE: Final = (FileNotFoundError, NotADirectoryError)
MOUNTS: Final = Path("/proc/self/mountinfo")


class RootAwayError(OSError):
    """The root is not the directory it was: what is missing below it says nothing."""


class MaildirTree:
    """`<root>/<account>` with `new` and `cur`, and its folders below, each with `new` and `cur`.

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

    def open(self, directory: Directory) -> Beneath:
        """Open a directory. Raises OSError, one of GONE for what is none."""
        account, *below = directory
        opened = Beneath.at(os.path.join(self.root, account))
        if not below:
            return opened
        with opened:
            return opened.directory(*below)

    def identity(self, directory: Directory) -> tuple[int, int] | None:
        """What tells a directory from every other; None for what is none, or cannot be asked."""
        try:
            with self.open(directory) as opened:
                return opened.identity
        except OSError:
            return None

    def directories(self) -> list[bytes]:
        """The names of the directories in the root, and of the links to one."""
        with os.scandir(self.root) as entries:
            return [entry.name for entry in entries if _is_directory(entry)]

    def folders(self, account: str, folder: bytes = INBOX) -> list[bytes] | None:
        """The directories that may be folders right below one that is or may be; None when it is not there."""
        directory = directory_of(account, folder)
        try:
            with self.open(directory) as opened:
                names = map(os.fsencode, opened.directories())
        except GONE:
            return None
        above = folder + b"/" if folder else b""
        return [above + name for name in names if may_be_folder(name, len(directory))]

    def listing(self, account: str, folder: bytes) -> Listing | None:
        """The messages of a folder, or None when it has neither `new/` nor `cur/`.

        `new/` is read first: a message on its way to `cur/` is then seen twice at worst, never missed. One that is
        renamed within `cur/` can still be missed, since POSIX leaves open what readdir then shows.
        """
        new, cur = (self._messages((*directory_of(account, folder), each)) for each in MESSAGE_DIRECTORIES)
        return None if new is None and cur is None else diff.listing(new or (), cur or ())

    def are_messages(self, account: str, folder: bytes, names: Iterable[bytes]) -> frozenset[bytes]:
        """Those of `names`, seen in `new/`, that are messages. One that has moved on already was one."""
        try:
            with self.open((*directory_of(account, folder), b"new")) as new:
                return frozenset(name for name in names if _may_be_message(new, name))
        except GONE:
            return frozenset(names)

    def _messages(self, directory: Directory) -> list[bytes] | None:
        try:
            with self.open(directory) as opened:
                return [os.fsencode(name) for name in opened.files()]
        except GONE:
            return None


def mounts() -> bytes:
    """What is mounted where, as this process sees it; nothing where that is not told."""
    try:
        return MOUNTS.read_bytes()
    except OSError:
        return b""


def _is_directory(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads nowhere, or where nobody may look: that says nothing of the others.
        return False


def _may_be_message(new: Beneath, name: bytes) -> bool:
    try:
        return stat.S_ISREG(new.status(name).st_mode)
    except FileNotFoundError:
        return True
