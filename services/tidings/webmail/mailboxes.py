"""Maildirs on disk, one per account: `<root>/<account>/{tmp,new,cur}`. Blocking: call it from a thread.

Whatever is read is of a bounded size.
"""

from __future__ import annotations

import heapq
import mailbox
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Final

from tidings.errors import NoSuchMailbox, NoSuchMessage, StorageFault
from tidings.webmail.mail.parts import Part
from tidings.webmail.mail.reading import (
    Content,
    Place,
    Summary,
    attached_mail,
    content_of,
    part_of,
    pieces_of,
    summary_of,
)
from tidings.webmail.maildir import SEEN, File, Folder, Maildir, OpenFile
from tidings.wire.change import account_fault

MAX_LISTED: Final = 200
MAX_ACCOUNTS: Final = 100
MESSAGE_BYTES: Final = 50 * 1024 * 1024
"""How much of a mail is looked at. Most mail servers take no larger ones."""
NOTHING: Final = Summary("", "", None, "")
CACHED_SUMMARIES: Final = 2000
ATTEMPTS: Final = 3
"""How often a message is looked for that another program renames meanwhile."""


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
    fault: str | None = None
    """Why the file cannot be read."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """Messages of an account, newest first, from the one at `offset` on; how many there are in all.

    `left_out` is how many entries among them are no files: directories, pipes, links. `open` is the message that was
    asked about, where it is still there.
    """

    total: int
    unread: int
    left_out: int
    offset: int
    limit: int
    messages: tuple[Listed, ...]
    open: Flags | None


@dataclass(frozen=True, slots=True)
class Flags:
    """How a message is flagged."""

    unread: bool


class Download:
    """An attachment, a piece at a time; open until it is closed."""

    def __init__(self, file: OpenFile, part: Part, pieces: Iterator[bytes]) -> None:
        self.part = part
        self._file = file
        self._pieces = pieces

    def next(self) -> bytes:
        """The next piece; nothing at the end. Raises StorageFault."""
        with _storage():
            return next(filter(None, self._pieces), b"")

    def close(self) -> None:
        self._file.close()


class Mailboxes:
    """The Maildirs below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._summaries = _Summaries()

    def accounts(self) -> list[str]:
        """The accounts that have a Maildir, in alphabetical order, at most MAX_ACCOUNTS."""
        with suppress(FileNotFoundError), os.scandir(self._root) as entries:
            names = (entry.name for entry in entries)
            return heapq.nsmallest(MAX_ACCOUNTS, (name for name in names if self.has(name)))
        return []

    def has(self, account: str) -> bool:
        """Whether an account has a Maildir."""
        with suppress(NoSuchMailbox), self._maildir(account):
            return True
        return False

    def create(self, account: str) -> None:
        """Make an empty Maildir. Raises OSError."""
        self._root.mkdir(parents=True, exist_ok=True)
        mailbox.Maildir(self._path(account), create=True)

    def inbox(self, account: str, offset: int = 0, asked: str | None = None) -> Inbox:
        """MAX_LISTED messages from `offset` on, or the last ones, if there are fewer; and of the one that is `asked`.

        Raises NoSuchMailbox, StorageFault.
        """
        unique = None if asked is None else _unique_of(asked)
        with _storage(), self._maildir(account) as maildir:
            entries = list(maildir.inbox.files())
            files = [file for file in entries if file.regular]
            offset = max(0, min(offset, (len(files) - 1) // MAX_LISTED * MAX_LISTED))
            newest = heapq.nlargest(offset + MAX_LISTED, files, key=attrgetter("mtime_ns", "unique"))
            return Inbox(
                total=len(files),
                unread=sum(file.unread for file in files),
                left_out=len(entries) - len(files),
                offset=offset,
                limit=MAX_LISTED,
                messages=tuple(listed for file in newest[offset:] if (listed := self._listed(maildir.inbox, file))),
                open=None if unique is None else _flags(maildir, unique, files),
            )

    def read(self, account: str, message_id: str, inside: Sequence[int] = ()) -> tuple[Content, bool]:
        """A message, or the one attached to it as these parts lead to it; and whether it is unread.

        Raises NoSuchMailbox, NoSuchMessage, StorageFault.
        """
        for _ in range(ATTEMPTS):
            with (
                suppress(FileNotFoundError),
                _storage(),
                self._find(account, message_id) as (folder, file),
                folder.open(file) as opened,
            ):
                content = content_of(_place(opened, inside))
                if opened.size > MESSAGE_BYTES:
                    note = f"This mail has {opened.size >> 20} MB, of which the first {MESSAGE_BYTES >> 20} are read."
                    content = replace(content, notes=(*content.notes, note))
                return content, file.unread
        raise NoSuchMessage("the message is not there any more")

    def attachment(self, account: str, message_id: str, path: Sequence[int]) -> Download:
        """The part that these parts lead to. Raises NoSuchMailbox, NoSuchMessage, StorageFault."""
        for _ in range(ATTEMPTS):
            with (
                suppress(FileNotFoundError),
                _storage(),
                self._find(account, message_id) as (folder, file),
                ExitStack() as closing,
            ):
                opened = closing.enter_context(folder.open(file))
                place = _place(opened, path[:-1])
                part = part_of(place, path[-1])
                if part is None:
                    raise NoSuchMessage("the message has no such part")
                closing.pop_all()
                return Download(opened, part, pieces_of(place, part))
        raise NoSuchMessage("the message is not there any more")

    def deliver(self, account: str, message: bytes) -> None:
        """Deliver a message: written to tmp, on disk, then moved to new. Raises NoSuchMailbox, StorageFault."""
        with _storage(), self._maildir(account) as maildir:
            maildir.deliver(message)

    def set_unread(self, account: str, message_id: str, unread: bool) -> bool:
        """Flag a message as read or unread; whether that changed anything.

        Raises NoSuchMailbox, NoSuchMessage, StorageFault.
        """
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError), _storage(), self._find(account, message_id) as (folder, file):
                flags = set(file.flags) - {SEEN} if unread else {*file.flags, SEEN}
                if flags == set(file.flags):
                    return False
                folder.flag(file, flags)
                return True
        raise NoSuchMessage("the message is not there any more")

    def delete(self, account: str, message_id: str) -> None:
        """Remove a message for good. Raises NoSuchMailbox, NoSuchMessage, StorageFault."""
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError), _storage(), self._find(account, message_id) as (folder, file):
                return folder.remove(file)
        raise NoSuchMessage("the message is not there any more")

    def _path(self, account: str) -> Path:
        if account_fault(account) or account.startswith("."):
            raise NoSuchMailbox("there is no mailbox with this name")
        return self._root / account

    def _maildir(self, account: str) -> Maildir:
        return Maildir(self._path(account))

    @contextmanager
    def _find(self, account: str, message_id: str) -> Iterator[tuple[Folder, File]]:
        with self._maildir(account) as maildir, maildir.find(_unique_of(message_id)) as found:
            yield found

    def _listed(self, folder: Folder, file: File) -> Listed | None:
        summary, fault = NOTHING, None
        try:
            summary = self._summaries.of(folder, file)
        except FileNotFoundError:
            return None
        except OSError as error:
            # One file spoils no list.
            fault = error.strerror or type(error).__name__
        return Listed(_id_of(file.unique), file.mtime_ns / 1e9, file.ctime, file.unread, summary, fault)


def _flags(maildir: Maildir, unique: bytes, files: Sequence[File]) -> Flags | None:
    """Of a message that is in the inbox, among these files, or has been moved to a folder."""
    found = next((file for file in files if file.unique == unique), None)
    with suppress(NoSuchMessage):
        if found is None:
            with maildir.find(unique) as (_, found):
                pass
        return Flags(found.unread)
    return None


@contextmanager
def _storage() -> Iterator[None]:
    """What the file system refuses is a StorageFault; that a file is gone is left to who looked for it."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFault(error) from error


def _place(opened: OpenFile, inside: Sequence[int]) -> Place:
    """The mail in a file, or the one attached to it as these parts lead to it. Raises NoSuchMessage."""
    place: Place | None = Place(opened, 0, min(opened.size, MESSAGE_BYTES))
    for number in inside:
        place = attached_mail(place, number) if place else None
    if place is None:
        raise NoSuchMessage("this part is not a mail that can be opened")
    return place


class _Summaries:
    """The summaries of the files that were listed last, each read again once it has other content."""

    def __init__(self) -> None:
        self._by_content: OrderedDict[tuple[int, ...], Summary] = OrderedDict()
        self._lock = Lock()

    def of(self, folder: Folder, file: File) -> Summary:
        """Raises OSError."""
        with self._lock:
            summary = self._by_content.get(file.content)
        if summary is None:
            with folder.open(file) as opened:
                summary = summary_of(opened)
        with self._lock:
            self._by_content[file.content] = summary
            self._by_content.move_to_end(file.content)
            if len(self._by_content) > CACHED_SUMMARIES:
                self._by_content.popitem(last=False)
        return summary


def _id_of(unique: bytes) -> str:
    return urlsafe_b64encode(unique).rstrip(b"=").decode()


def _unique_of(message_id: str) -> bytes:
    try:
        return urlsafe_b64decode(message_id.encode("ascii") + b"=" * (-len(message_id) % 4))
    except (Base64Error, ValueError):
        raise NoSuchMessage("the message id is not valid") from None
