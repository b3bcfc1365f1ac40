"""The change: what a storage tells and the log carries. It says that something changed, never what. Pure."""

from __future__ import annotations

import re
from itertools import chain
from sys import getsizeof
from typing import Final

import msgspec

MAX_ACCOUNT_BYTES = 255
MAX_STATE_BYTES = 255
MAX_DATA_TYPES = 32
MAX_DATA_TYPE_BYTES = 64
MAX_NAME_BYTES = 1024
"""Bound on an event's `id` and `source`."""
FAR_SECONDS = 3600.0
"""A time of a storage's that is further from when the publisher took the change measures nothing."""

_MAIL = ("Email", "Mailbox", "Thread")

DATA_TYPES: dict[str, tuple[str, ...]] = {
    "MessageNew": (*_MAIL, "EmailDelivery"),
    "MessageAppend": _MAIL,
    "MessageExpunge": _MAIL,
    "MessageExpire": _MAIL,
    "MessageRead": _MAIL,
    "MessageTrash": _MAIL,
    "FlagsSet": _MAIL,
    "FlagsClear": _MAIL,
    "MailboxCreate": ("Mailbox",),
    "MailboxDelete": ("Mailbox",),
    "MailboxRename": ("Mailbox",),
    "MailboxSubscribe": ("Mailbox",),
    "MailboxUnSubscribe": ("Mailbox",),
    "QuotaExceed": ("Quota",),
    "QuotaWithin": ("Quota",),
    "QuotaChange": ("Quota",),
    "AccountChanged": _MAIL,
}
"""RFC 5423 section 4 event name -> the JMAP data types it touches (RFC 8621, RFC 9425).

`Login` and `Logout` touch none and are therefore absent. `AccountChanged` is of Tidings; see `anything_changed`.
"""
ACCOUNT_CHANGED: Final = "AccountChanged"
EVERY_ACCOUNT: Final = "/"
"""In place of an account, which never has a slash: all accounts of the installation."""
_SPELLED = {name.lower(): name for name in DATA_TYPES}

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DATA_TYPE_PATTERN: Final = r"[A-Za-z][A-Za-z0-9_.:-]*"
_DATA_TYPE = re.compile(DATA_TYPE_PATTERN)


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something changed in one account.

    `changed` maps each JMAP data type to its new state string, or to None where the storage has no states.
    `event` is the RFC 5423 name; `id` and `source` identify the event (CloudEvents 1.0); `time` is when the
    storage changed and `ingested` when the publisher took it, both in Unix seconds.
    """

    account: str
    changed: dict[str, str | None]
    event: str
    id: str
    source: str
    time: float | None = None
    ingested: float = 0.0


class TracedChange(Change, frozen=True, array_like=True, gc=False):
    """A change that came with the context of a sampled trace: see tracecontext. Never in the log: a batch has those."""

    context: bytes = b""


def untraced(change: Change) -> Change:
    """The change as the log has it."""
    if type(change) is Change:
        return change
    return Change(*(getattr(change, name) for name in Change.__struct_fields__))


def anything_changed(account: str, *, source: str, event_id: str, ingested: float, time: float | None = None) -> Change:
    """The change that says: anything may have changed in this account, so whoever listens has to look.

    `account` may be EVERY_ACCOUNT; then it is for all accounts of the installation. Gateways make a resync of it, at
    the pace of `--resync-rate`. `source` and `event_id` name it in logs; `ingested` is the present time, and `time` the
    one of the loss if it is known, in Unix seconds.

    A gateway of an earlier version tells it as a change of Email, Mailbox and Thread, which makes clients look too.
    """
    changed: dict[str, str | None] = dict.fromkeys(DATA_TYPES[ACCOUNT_CHANGED])
    return Change(account, changed, ACCOUNT_CHANGED, event_id, source, time, ingested)


def event_name(name: str) -> str:
    """The name of an event as RFC 5423 spells it: names compare without case. One of another's is left as it is."""
    return _SPELLED.get(name.lower(), name)


def held_bytes(change: Change) -> int:
    """What a change takes in memory, without what all share: the name of its event."""
    changed = change.changed
    parts: tuple[object, ...] = (change, change.account, change.id, change.source, change.time, changed)
    if isinstance(change, TracedChange):
        parts = (*parts, change.context)
    return sum(map(getsizeof, chain(parts, changed, changed.values())))


def is_far(change: Change) -> bool:
    """Whether a change's own time is so far from when it was taken that it measures nothing."""
    return change.time is not None and abs(change.time - change.ingested) > FAR_SECONDS


def text_fault(text: str, most: int) -> str | None:
    """Say what is wrong with a name, or None: 1 to `most` bytes of UTF-8, no control character."""
    if not text:
        return "must not be empty"
    # No character has less than a byte: what is too long is not looked at any further.
    if len(text) <= most:
        if text.isascii() and text.isprintable():
            return None
        if _UNPRINTABLE.search(text):
            return "must not contain control characters"
        if len(text.encode()) <= most:
            return None
    return f"must be at most {most} bytes of UTF-8"


def account_fault(account: str) -> str | None:
    """Say what is wrong with an account id, or None: 1..255 bytes of UTF-8, no `/`, no control character."""
    return text_fault(account, MAX_ACCOUNT_BYTES) or ("must not contain '/'" if "/" in account else None)


def data_type_fault(name: str) -> str | None:
    """Say what is wrong with a JMAP data type name, or None."""
    if len(name) > MAX_DATA_TYPE_BYTES:
        return f"must be at most {MAX_DATA_TYPE_BYTES} bytes"
    if not _DATA_TYPE.fullmatch(name):
        return "must be a JMAP data type name: a letter, then letters, digits or '_.:-'"
    return None


def state_fault(state: str) -> str | None:
    """Say what is wrong with a state string, or None: 1..255 bytes of UTF-8, no control character."""
    return text_fault(state, MAX_STATE_BYTES)
