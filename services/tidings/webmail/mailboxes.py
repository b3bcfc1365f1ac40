"""Maildirs on disk, one per account: `<root>/<account>/{tmp,new,cur}`. Blocking: call it from a thread.

Other programs deliver, flag and delete at any moment, so a file that was listed may be gone or renamed when it is
opened. Whatever is read is of a bounded size.
"""

from __future__ import annotations

import heapq
import mailbox
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG
from typing import Final, NamedTuple

from tidings.errors import NoSuchMailbox, NoSuchMessage
from tidings.webmail.message import Content, Summary, content_of, summary_of
from tidings.wire.change import account_fault

MAX_LISTED: Final = 200
MAX_ACCOUNTS: Final = 100
HEAD_BYTES: Final = 16 * 1024
MESSAGE_BYTES: Final = 2 * 1024 * 1024
CACHED_SUMMARIES: Final = 2000
ATTEMPTS: Final = 3
"""How often a message is looked for that another program renames meanwhile."""
_INFO: Final = ":2,"
_SEEN: Final = "S"


class _File(NamedTuple):
    """A message file; `unique` is its name without the flags, the same for the message's whole life."""

    path: str
    unique: str
    flags: str
    mtime_ns: int
    ctime: float
    size: int

    @property
    def unread(self) -> bool:
        return _SEEN not in self.flags


@dataclass(frozen=True, slots=True)
class Listed:
    """A message in a list. `received` is when it was delivered, `touched` when it last was delivered or flagged.

    Both are in Unix seconds.
    """

    id: str
    received: float
    touched: float
    unread: bool
    summary: Summary


@dataclass(frozen=True, slots=True)
class Inbox:
    """The newest messages of an account, newest first, and how many there are in all."""

    total: int
    unread: int
    messages: tuple[Listed, ...]


class Mailboxes:
    """The Maildirs below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._summary = lru_cache(CACHED_SUMMARIES)(_read_summary)

    def accounts(self) -> list[str]:
        """The accounts that have a Maildir, in alphabetical order, at most MAX_ACCOUNTS."""
        with suppress(FileNotFoundError), os.scandir(self._root) as entries:
            names = (entry.name for entry in entries)
            return heapq.nsmallest(MAX_ACCOUNTS, (name for name in names if self.has(name)))
        return []

    def has(self, account: str) -> bool:
        """Whether an account has a Maildir."""
        with suppress(NoSuchMailbox):
            self._directory(account)
            return True
        return False

    def create(self, account: str) -> None:
        """Make an empty Maildir. Raises OSError."""
        self._root.mkdir(parents=True, exist_ok=True)
        mailbox.Maildir(self._path(account), create=True)

    def inbox(self, account: str) -> Inbox:
        """The newest MAX_LISTED messages. Raises NoSuchMailbox."""
        files = list(_files(self._directory(account)))
        newest = heapq.nlargest(MAX_LISTED, files, key=attrgetter("mtime_ns", "unique"))
        return Inbox(
            total=len(files),
            unread=sum(file.unread for file in files),
            messages=tuple(listed for file in newest if (listed := self._listed(file))),
        )

    def read(self, account: str, message_id: str) -> tuple[Content, bool]:
        """A message, and whether it is unread. Raises NoSuchMailbox, NoSuchMessage."""
        for _ in range(ATTEMPTS):
            file = self._find(account, message_id)
            with suppress(FileNotFoundError):
                return content_of(_head(file.path, MESSAGE_BYTES)), file.unread
        raise NoSuchMessage("the message is not there any more")

    def deliver(self, account: str, message: bytes) -> None:
        """Deliver a message: written to tmp, on disk, then moved to new. Raises NoSuchMailbox, OSError."""
        mailbox.Maildir(self._directory(account), create=False).add(message)

    def set_unread(self, account: str, message_id: str, unread: bool) -> bool:
        """Flag a message as read or unread; whether that changed anything. Raises NoSuchMailbox, NoSuchMessage."""
        for _ in range(ATTEMPTS):
            file = self._find(account, message_id)
            flags = set(file.flags) - {_SEEN} if unread else {*file.flags, _SEEN}
            if flags == set(file.flags):
                return False
            name = f"{file.unique}{_INFO}{''.join(sorted(flags))}"
            with suppress(FileNotFoundError):
                os.rename(file.path, self._directory(account) / "cur" / name)
                return True
        raise NoSuchMessage("the message is not there any more")

    def delete(self, account: str, message_id: str) -> None:
        """Remove a message for good. Raises NoSuchMailbox, NoSuchMessage."""
        for _ in range(ATTEMPTS):
            file = self._find(account, message_id)
            with suppress(FileNotFoundError):
                os.unlink(file.path)
                return
        raise NoSuchMessage("the message is not there any more")

    def _path(self, account: str) -> Path:
        if account_fault(account) or account.startswith("."):
            raise NoSuchMailbox("there is no mailbox of this name")
        return self._root / account

    def _directory(self, account: str) -> Path:
        path = self._path(account)
        if not (path / "new").is_dir() or not (path / "cur").is_dir():
            raise NoSuchMailbox("there is no mailbox of this name")
        return path

    def _find(self, account: str, message_id: str) -> _File:
        unique = _unique_of(message_id)
        for file in _files(self._directory(account)):
            if file.unique == unique:
                return file
        raise NoSuchMessage("the message is not there any more")

    def _listed(self, file: _File) -> Listed | None:
        try:
            summary = self._summary(file.path, file.mtime_ns, file.size)
        except FileNotFoundError:
            return None
        return Listed(_id_of(file.unique), file.mtime_ns / 1e9, file.ctime, file.unread, summary)


def _files(directory: Path) -> Iterator[_File]:
    """The messages of a Maildir. A message that moves from new to cur meanwhile is told once."""
    seen: set[str] = set()
    for folder in ("new", "cur"):
        with os.scandir(directory / folder) as entries:
            for entry in entries:
                unique, _, flags = entry.name.partition(_INFO)
                if entry.name.startswith(".") or unique in seen:
                    continue
                try:
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if S_ISREG(stat.st_mode):
                    seen.add(unique)
                    yield _File(entry.path, unique, flags, stat.st_mtime_ns, stat.st_ctime, stat.st_size)


def _head(path: str, size: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)


def _read_summary(path: str, _mtime_ns: int, _size: int) -> Summary:
    """The summary of a file; with its time and size, by which a rewritten file is noticed, for the cache's key."""
    return summary_of(_head(path, HEAD_BYTES))


def _id_of(unique: str) -> str:
    return urlsafe_b64encode(os.fsencode(unique)).rstrip(b"=").decode()


def _unique_of(message_id: str) -> str:
    try:
        return os.fsdecode(urlsafe_b64decode(message_id.encode("ascii") + b"=" * (-len(message_id) % 4)))
    except (Base64Error, ValueError):
        raise NoSuchMessage("this is no message id") from None
