"""Pure: what changed between two looks at a Maildir, in RFC 5423 event names.

A Maildir folder is a directory with `new/` and `cur/`; one file is one message. Delivery puts it into `new/`, a client
that has seen the folder renames it into `cur/`, a change of flags is another rename, and a user moves it to another
folder by one more. So messages are told apart by the unique name alone (see wire.mailfile), and one that was in
another folder of its account is no delivery. Folders are `.Name/` beside the inbox's own directories (Maildir++), or
`Name/` and more in it (Dovecot's LAYOUT=fs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tidings.wire import mailfile
from tidings.wire.change import DATA_TYPES, Change, account_fault

INBOX: Final = b""
"""The folder that the account's own directory is."""
MESSAGE_DIRECTORIES: Final = (b"new", b"cur")
SOURCE: Final = "maildir"

Directory = tuple[bytes, ...]
"""A directory as the parts of its path below the root: the account first."""
Familiar = Callable[[bytes], bool]
"""Whether a message of this unique name is, or lately was, in another folder of its account."""

_STORED = frozenset("SDT")
"""Flags of a message that its owner stored: Seen, Draft, Trashed. A delivered one has none of them."""
_EVENT_OF_FLAG: Final = {"S": "MessageRead", "T": "MessageTrash"}


class Scope(NamedTuple):
    """What has to be looked at: one folder, or with `folder` None the list of an account's folders.

    A folder is its path below the account: `.Work`, or `Archive/2024`.
    """

    account: str
    folder: bytes | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The messages of a folder, unique name -> sorted flags; `recent` are those still in `new/`."""

    messages: Mapping[bytes, str]
    recent: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened to a folder (`events`), and how to bring its snapshot up to date."""

    events: frozenset[str] = frozenset()
    exists: bool = True
    stored: Mapping[bytes, str] = field(default_factory=dict)
    removed: frozenset[bytes] = frozenset()


class Finding(NamedTuple):
    """A difference, where, and when it was noticed, in Unix seconds; None when it was found by a rescan."""

    account: str
    folder: bytes
    noticed: float | None
    difference: Difference


def account_of(name: bytes) -> str | None:
    """The account whose directory has this name, or None when it cannot be one."""
    try:
        account = name.decode()
    except UnicodeDecodeError:
        return None
    return None if account.startswith(".") or account_fault(account) else account


def directory_of(account: str, folder: bytes) -> Directory:
    """The directory of a folder."""
    return (account.encode(), *folder.split(b"/")) if folder else (account.encode(),)


def scope_of(directory: Directory, name: bytes, is_directory: bool) -> Scope | None:
    """What an entry `name` that came or went in `directory` may have changed."""
    if not directory:
        account = account_of(name)
        return None if account is None else Scope(account, None)
    account = account_of(directory[0])
    if account is None:
        return None
    within = directory[1:]
    if within and within[-1] in MESSAGE_DIRECTORIES:
        return Scope(account, b"/".join(within[:-1]))
    if name in MESSAGE_DIRECTORIES:
        return Scope(account, b"/".join(within))
    if is_directory and mailfile.may_be_folder(name, len(directory)):
        return Scope(account, b"/".join((*within, name)))
    return None


def place_of(directory: Directory) -> Scope | None:
    """What a directory that is gone itself may have changed."""
    return scope_of(directory[:-1], directory[-1], True) if directory else None


def listing(new: Iterable[bytes], cur: Iterable[bytes]) -> Listing:
    """Make sense of file names. A message seen in both directories was moved between the two looks."""
    messages: dict[bytes, str] = {}
    recent: set[bytes] = set()
    for name in new:
        if not name.startswith(b"."):
            file = mailfile.read(name)
            messages[file.unique] = file.flags
            recent.add(file.unique)
    for name in cur:
        if not name.startswith(b"."):
            file = mailfile.read(name)
            messages[file.unique] = file.flags
            recent.discard(file.unique)
    return Listing(messages, frozenset(recent))


def either(first: Listing, second: Listing) -> Listing:
    """What either of two looks saw, the second one's flags."""
    return Listing({**first.messages, **second.messages}, second.recent | (first.recent - second.messages.keys()))


def is_message_name(directory: Directory, name: bytes) -> bool:
    """Whether an entry `name` of `directory` may be a message."""
    return len(directory) > 1 and directory[-1] in MESSAGE_DIRECTORIES and not name.startswith(b".")


def nobody(_: bytes) -> bool:
    """Familiar with no message."""
    return False


def arrived(names: Iterable[bytes], known: Set[bytes], familiar: Familiar = nobody) -> Difference:
    """What happened to a folder when all that happened is that files of these names came into `new/`."""
    stored = {file.unique: file.flags for file in map(mailfile.read, names) if file.unique not in known}
    events = {"MessageAppend" if familiar(unique) else "MessageNew" for unique in stored}
    return Difference(frozenset(events), stored=stored)


def compare(before: Mapping[bytes, str] | None, after: Listing | None, familiar: Familiar = nobody) -> Difference:
    """What happened between the snapshot of a folder and a look at it; None where there is no such folder."""
    if after is None:
        events = {"MailboxDelete"} if before is not None else set()
        if before:
            events.add("MessageExpunge")
        return Difference(frozenset(events), exists=False)
    events = set() if before is not None else {"MailboxCreate"}
    stored: dict[bytes, str] = {}
    known = before or {}
    for unique, flags in after.messages.items():
        old = known.get(unique)
        if old == flags:
            continue
        stored[unique] = flags
        if old is None:
            event = _arrival(unique in after.recent, flags, folder_is_new=before is None)
            # One delivery says it for all; who has to be asked about each is not asked again.
            if event not in events:
                events.add("MessageAppend" if event == "MessageNew" and familiar(unique) else event)
        else:
            events |= _flag_events(old, flags)
    removed = frozenset(known.keys() - after.messages.keys())
    if removed:
        events.add("MessageExpunge")
    return Difference(frozenset(events), stored=stored, removed=removed)


def _arrival(is_recent: bool, flags: str, *, folder_is_new: bool) -> str:
    """Delivered or stored. A client may have moved a delivery to `cur/` already; in a folder that itself has just
    appeared `cur/` is more likely what the folder held under another name.
    """
    if is_recent:
        return "MessageNew"
    return "MessageAppend" if folder_is_new or _STORED & set(flags) else "MessageNew"


def _flag_events(old: str, new: str) -> set[str]:
    events = {_EVENT_OF_FLAG.get(flag, "FlagsSet") for flag in new if flag not in old}
    if any(flag not in new for flag in old):
        events.add("FlagsClear")
    return events


def changes(findings: Iterable[Finding], now: float, new_id: Callable[[], str]) -> list[Change]:
    """The findings as changes: one for each event of an account, however many messages or folders it concerns."""
    noticed: dict[tuple[str, str], float | None] = {}
    for finding in findings:
        for event in finding.difference.events:
            key = finding.account, event
            times = [time for time in (finding.noticed, noticed.get(key)) if time is not None]
            noticed[key] = min(times, default=None)
    return [
        Change(account, dict.fromkeys(DATA_TYPES[event]), event, new_id(), SOURCE, time, now)
        for (account, event), time in sorted(noticed.items(), key=lambda item: item[0])
    ]
