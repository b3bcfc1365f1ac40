"""The change: what a storage tells and the log carries. It says that something changed, never what."""

from __future__ import annotations

import re

import msgspec

MAX_ACCOUNT_BYTES = 255
MAX_STATE_BYTES = 255
MAX_DATA_TYPES = 32
MAX_DATA_TYPE_BYTES = 64
MAX_NAME_BYTES = 1024
"""Bound on an event's `id` and `source`."""

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
}
"""RFC 5423 section 4 event name -> the JMAP data types it touches (RFC 8621, RFC 9425).

`Login` and `Logout` touch none and are therefore absent.
"""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DATA_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")


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


def account_fault(account: str) -> str | None:
    """Say what is wrong with an account id, or None: 1..255 bytes of UTF-8, no `/`, no control character."""
    if not account:
        return "must not be empty"
    if _UNPRINTABLE.search(account):
        return "must not contain control characters"
    if "/" in account:
        return "must not contain '/'"
    if len(account.encode()) > MAX_ACCOUNT_BYTES:
        return f"must be at most {MAX_ACCOUNT_BYTES} bytes of UTF-8"
    return None


def data_type_fault(name: str) -> str | None:
    """Say what is wrong with a JMAP data type name, or None."""
    if not _DATA_TYPE.fullmatch(name):
        return "must be a JMAP data type name: a letter, then letters, digits or '_.:-'"
    if len(name) > MAX_DATA_TYPE_BYTES:
        return f"must be at most {MAX_DATA_TYPE_BYTES} bytes"
    return None


def state_fault(state: str) -> str | None:
    """Say what is wrong with a state string, or None: 1..255 bytes of UTF-8, no control character."""
    if not state:
        return "must not be empty"
    if _UNPRINTABLE.search(state):
        return "must not contain control characters"
    if len(state.encode()) > MAX_STATE_BYTES:
        return f"must be at most {MAX_STATE_BYTES} bytes of UTF-8"
    return None
