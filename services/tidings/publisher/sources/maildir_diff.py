"""Pure: what changed between two looks at a Maildir, in RFC 5423 event names.

A Maildir folder is a directory with `new/` and `cur/`; one file is one message. The file's name is a unique name and,
in `cur/`, `:2,` and the flags. Delivery puts it into `new/`, a client that has seen the folder renames it into `cur/`,
and a change of flags is another rename, so messages are told apart by the unique name alone. Maildir++ keeps
subfolders as `.Name/` beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from tidings.wire.change import DATA_TYPES, Change, account_fault

INBOX: Final = b""
"""The folder that the account's own directory is."""
MESSAGE_DIRECTORIES: Final = (b"new", b"cur")
SOURCE: Final = "maildir"

_STORED = frozenset("SDT")
"""Flags of a message that its owner stored: Seen, Draft, Trashed. A delivered one has none of them."""
_EVENT_OF_FLAG: Final = {"S": "MessageRead", "T": "MessageTrash"}


class Scope(NamedTuple):
    """What has to be looked at: one folder, or with `folder` None the list of an account's folders."""

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


def scope_of(directory: tuple[bytes, ...], name: bytes, is_directory: bool) -> Scope | None:
    """What an entry `name` that came or went in `directory`, a path below the root, may have changed."""
    if not directory:
        account = account_of(name)
        return None if account is None else Scope(account, None)
    account = account_of(directory[0])
    if account is None:
        return None
    within = directory[1:]
    if within and within[-1] in MESSAGE_DIRECTORIES:
        return Scope(account, within[0] if len(within) == 2 else INBOX)
    if name in MESSAGE_DIRECTORIES:
        return Scope(account, within[0] if within else INBOX)
    if not within and is_directory and name.startswith(b"."):
        return Scope(account, name)
    return None


def listing(new: Iterable[bytes], cur: Iterable[bytes]) -> Listing:
    """Make sense of file names. A message seen in both directories was moved between the two looks."""
    messages: dict[bytes, str] = {}
    recent: set[bytes] = set()
    for name in new:
        if not name.startswith(b"."):
            unique, flags = _split(name)
            messages[unique] = flags
            recent.add(unique)
    for name in cur:
        if not name.startswith(b"."):
            unique, flags = _split(name)
            messages[unique] = flags
            recent.discard(unique)
    return Listing(messages, frozenset(recent))


def either(first: Listing, second: Listing) -> Listing:
    """What either of two looks saw, the second one's flags."""
    return Listing({**first.messages, **second.messages}, second.recent | (first.recent - second.messages.keys()))


def _split(name: bytes) -> tuple[bytes, str]:
    unique, _, info = name.partition(b":")
    return unique, _flags(info)


@lru_cache(1024)
def _flags(info: bytes) -> str:
    flags = info[2:] if info.startswith(b"2,") else b""
    return "".join(sorted(set(flags.decode("ascii", "ignore"))))


def arrival(directory: tuple[bytes, ...], name: bytes) -> bytes | None:
    """The unique name of a message that came as `name` into `directory`, or None when that is no delivery."""
    if len(directory) < 2 or directory[-1] != b"new" or name.startswith(b"."):
        return None
    return _split(name)[0]


def arrived(names: Set[bytes], known: Set[bytes]) -> Difference:
    """What happened to a folder when all that happened is that `names` came into `new/`."""
    stored = dict.fromkeys(names - known, "")
    return Difference(frozenset(["MessageNew"] if stored else []), stored=stored)


def compare(before: Mapping[bytes, str] | None, after: Listing | None) -> Difference:
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
            events.add(_arrival(unique in after.recent, flags, folder_is_new=before is None))
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
