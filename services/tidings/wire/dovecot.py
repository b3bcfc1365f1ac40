"""What Dovecot's push notification driver "ox" sends: one delivery, as JSON, and the change that it tells. Pure.

Of the mail it has sender, subject and the beginning of the text. They are skipped, whatever bytes they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from tidings.errors import EventError, Problem
from tidings.wire.change import DATA_TYPES, MAX_NAME_BYTES, Change, account_fault, event_name

SOURCE: Final = "/dovecot"
MAX_BODY_BYTES: Final = 64 * 1024
ID_HEX: Final = 32
_UINT32 = Annotated[int, Meta(ge=0, lt=2**32)]


class Notification(Struct, rename={"uidvalidity": "imap-uidvalidity", "uid": "imap-uid"}):
    """The members of a notification of Dovecot's driver "ox" that the publisher reads. It skips all others."""

    user: str
    event: str
    folder: Annotated[str, Meta(max_length=MAX_NAME_BYTES)]
    uidvalidity: _UINT32
    uid: _UINT32


_decoder = msgspec.json.Decoder(Notification)


def parse(_: Iterable[tuple[str, str]], body: bytes, ingested: float) -> list[Change]:
    """The change that a notification tells; `ingested` is when it came, in Unix seconds.

    Its id is of user, folder, UIDVALIDITY and UID (RFC 9051 section 2.3.1.1): the same again is the same delivery.

    Raises EventError: 413 for a body of more than MAX_BODY_BYTES, 400 for what is not JSON, 422 for what is no
    notification, with what is wrong where.
    """
    if len(body) > MAX_BODY_BYTES:
        raise EventError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        found = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise EventError(422, "the notification was not taken: see problems", (_problem(str(error)),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(400, f"the body is not JSON: {error}") from None
    event = event_name(found.event)
    faults = [("event", None if event in DATA_TYPES else "must be an RFC 5423 event name, such as messageNew")]
    faults.append(("user", account_fault(found.user)))
    problems = tuple(Problem(0, field, fault) for field, fault in faults if fault is not None)
    if problems:
        raise EventError(422, "the notification was not taken: see problems", problems)
    name = msgspec.json.encode((found.user, found.folder, found.uidvalidity, found.uid))
    event_id = sha256(name).hexdigest()[:ID_HEX]
    return [Change(found.user, dict.fromkeys(DATA_TYPES[event]), event, event_id, SOURCE, None, ingested)]


def _problem(said: str) -> Problem:
    """What msgspec says is wrong, `Expected `str`, got `int` - at `$.user``, with the member that it is about."""
    what, _, where = said.partition(" - at `$.")
    return Problem(0, where.rstrip("`"), what)
