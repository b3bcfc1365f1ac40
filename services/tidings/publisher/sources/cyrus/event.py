"""What an event of Cyrus IMAP says: whose mail has changed, and which JMAP state it has now. Pure.

The message of a notification is JSON (mboxevent.c of Cyrus). `vnd.fastmail.jmapStates` in it are those before the
change or after it, as the case may be, and its `modseq` is that of one message. The state that Cyrus gives to Email,
Mailbox and Thread alike is the highest of all of these in the events of the change; the last one, MailboxModseq or
MailboxCreate, has it for certain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from tidings.errors import NotificationError
from tidings.wire.change import account_fault

MAX_URI: Final = 8_192

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
_STATE = re.compile(r"[0-9]{1,20}")
_MAILBOX = re.compile(r"imap://[^/]*/([^;?]*)")


class Event(NamedTuple):
    """A change of the mail in one account. `state` is that of all of it, None where it is not told."""

    account: str
    name: str
    state: int | None
    begins_account: bool = False


class _Message(msgspec.Struct, gc=False):
    event: str
    uri: str = ""
    modseq: int | None = None
    kind: str = msgspec.field(default="", name="vnd.cmu.mbtype")
    states: dict[str, str | int] = msgspec.field(default_factory=dict, name="vnd.fastmail.jmapStates")


_decoder: Final = msgspec.json.Decoder(_Message)


def read_event(message: bytes, *, virtual_domains: bool) -> Event | None:
    """What an event says; None for one that is of no user's mail.

    `virtual_domains`: whether the names of users have domains, as with `virtdomains: userid`. Raises NotificationError.
    """
    try:
        read = _decoder.decode(message)
    except msgspec.ValidationError as error:
        raise NotificationError(f"an event that is not what Cyrus sends: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Where the fault is would make every one another one in the log.
        raise NotificationError("an event that is not JSON") from None
    if not _NAME.fullmatch(read.event):
        raise NotificationError("an event without a valid name")
    if read.event.startswith("Quota"):
        return None
    # Mailboxes of mail have the type "e", and letters behind it say how they are stored.
    if read.kind[:1] not in ("", "e"):
        return None
    account, is_all = _owner(read.uri, virtual_domains=virtual_domains)
    if account is None:
        return None
    known = (read.modseq, _state(read.states, "Email"), _state(read.states, "Mailbox"))
    return Event(
        account,
        read.event,
        max((state for state in known if state is not None), default=None),
        is_all and read.event == "MailboxCreate",
    )


def _state(states: Mapping[str, str | int], name: str) -> int | None:
    text = str(states.get(name, ""))
    return int(text) if _STATE.fullmatch(text) else None


def _owner(uri: str, *, virtual_domains: bool) -> tuple[str | None, bool]:
    """Whose a mailbox is, nobody's for a shared one; and whether it is the one that is there as long as the account."""
    found = _MAILBOX.match(uri) if len(uri) <= MAX_URI else None
    if found is None:
        return None, False
    try:
        mailbox = unquote_to_bytes(found[1]).decode()
    except UnicodeDecodeError:
        raise NotificationError("an event of a mailbox whose name is not UTF-8") from None
    domain = ""
    if virtual_domains:
        mailbox, at, domain = mailbox.rpartition("@") if "@" in mailbox else (mailbox, "", "")
        domain = at + domain
    if mailbox.startswith("user/"):
        name, _, below = mailbox.removeprefix("user/").partition("/")
    elif mailbox.startswith("user."):
        # Without `unixhierarchysep` a dot in the name of a user is written so.
        name, _, below = mailbox.removeprefix("user.").partition(".")
        name = name.replace("^", ".")
    else:
        return None, False
    # What Cyrus keeps of a user besides mail.
    if below.startswith("#"):
        return None, False
    account = name + domain
    if fault := account_fault(account):
        raise NotificationError(f"an event of a mailbox whose user cannot be an account: {fault}")
    return account, not below
