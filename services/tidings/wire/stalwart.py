"""The webhook of Stalwart: its events of mail as changes. Pure.

A request is {"events": [{"id", "createdAt", "type", "data"}]}, without a content type. With a secret it is signed:
X-Signature is the HMAC-SHA256 of the body in Base64. Accounts are numbers there; JMAP clients know them in Stalwart's
own Base32.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from tidings.errors import EventError, Problem, RequestRejected
from tidings.wire import jsonbody, mailevent
from tidings.wire.change import EVERY_ACCOUNT, Change, anything_changed
from tidings.wire.event_model import TYPE_PREFIX

SOURCE: Final = "/stalwart"
MAX_EVENTS: Final = 10_000
MAX_PROBLEMS: Final = 100
EVENTS: Final = {
    "message-ingest.ham": "MessageNew",
    # It lies in Junk: nobody is to be called for it.
    "message-ingest.spam": "MessageAppend",
    "message-ingest.imap-append": "MessageAppend",
    "message-ingest.jmap-append": "MessageAppend",
    "imap.append": "MessageAppend",
    "imap.copy": "MessageAppend",
    "imap.move": "MessageAppend",
    "imap.store": "FlagsSet",
    "imap.expunge": "MessageExpunge",
    "pop3.delete": "MessageExpunge",
    "imap.create-mailbox": "MailboxCreate",
    "imap.delete-mailbox": "MailboxDelete",
    "imap.rename-mailbox": "MailboxRename",
    "imap.subscribe": "MailboxSubscribe",
    "imap.unsubscribe": "MailboxUnSubscribe",
}
"""Event of Stalwart's -> event of RFC 5423. Others are not about mail."""
LOSSES: Final = frozenset({"server.startup", "telemetry.webhook-error"})
"""Events that say that others may be lost: they are kept in memory, and for five minutes."""
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz792013"


def parser(secret: str | None) -> Callable[[Iterable[tuple[str, str]], bytes, float], list[Change]]:
    """What reads requests that are signed with a secret; None: that are admitted by others."""
    return partial(parse, None if secret is None else secret.encode())


def parse(secret: bytes | None, headers: Iterable[tuple[str, str]], body: bytes, ingested: float) -> list[Change]:
    """The changes that a request tells; none of events that are not about mail.

    Raises RequestRejected 401 for a signature that is missing or wrong, EventError as jsonbody.decode, 413 for more
    than MAX_EVENTS and 422 for what is no event.
    """
    if secret is not None:
        _check(secret, headers, body)
    request = jsonbody.decode(body)
    events = request.get("events") if isinstance(request, dict) else None
    if not isinstance(events, list):
        raise EventError(422, "the request must have an array of events")
    if len(events) > MAX_EVENTS:
        raise EventError(413, f"{len(events)} events, at most {MAX_EVENTS} are taken at once")
    changes: list[Change] = []
    problems: list[Problem] = []
    for index, event in enumerate(events):
        found = _read(index, event, ingested)
        if isinstance(found, Change):
            changes.append(found)
        else:
            problems += found
    if problems:
        raise EventError(422, "no event was taken: see problems", tuple(problems[:MAX_PROBLEMS]))
    return changes


def account_id(number: int) -> str:
    """What JMAP clients of Stalwart call an account."""
    digits = _ALPHABET[number % 32]
    while number := number // 32:
        digits = _ALPHABET[number % 32] + digits
    return digits


def _check(secret: bytes, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    given = next((value for name, value in headers if name.lower() == "x-signature"), "")
    wanted = b64encode(hmac.digest(secret, body, "sha256"))
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted):
        raise RequestRejected(401, "bad_signature", "X-Signature is not the HMAC-SHA256 of the body with the secret")


def _read(index: int, event: object, ingested: float) -> Change | list[Problem]:
    if not isinstance(event, dict):
        return [Problem(index, "", "must be a JSON object")]
    kind, data = event.get("type"), event.get("data")
    if not isinstance(kind, str):
        return [Problem(index, "type", "must be a string")]
    if kind in LOSSES:
        return anything_changed(EVERY_ACCOUNT, source=SOURCE, event_id=str(event.get("id"))[:64], ingested=ingested)
    if kind not in EVENTS:
        return []
    account = data.get("accountId") if isinstance(data, dict) else None
    if isinstance(account, int) and not isinstance(account, bool) and 0 <= account < 2**64:
        account = account_id(account)
    told = {
        "specversion": "1.0",
        "id": event.get("id"),
        "source": SOURCE,
        "type": TYPE_PREFIX + EVENTS[kind],
        "subject": account,
        "time": event.get("createdAt"),
    }
    found = mailevent.read(index, told, ingested)
    if isinstance(found, Change):
        return found
    return [Problem(index, _MEMBERS.get(problem.field, problem.field), problem.detail) for problem in found]


_MEMBERS: Final = {"subject": "data.accountId", "time": "createdAt"}
