"""The answered poll: has anything changed since a cursor (GET /jmap/changes). Pure.

Conditional requests as in RFC 9110 section 13, the cursor being the entity tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tidings.errors import RequestRejected
from tidings.gateway.codecs import http1, jmap
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.model.form import Encode

MAX_WAIT_SECONDS: Final = 300
_ETAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e]*)"\s*(?:,.*)?')


class Asked(NamedTuple):
    """What a poll asks: `types` None means all, `since` is a cursor, `wait` how many seconds it may be parked."""

    types: frozenset[str] | None
    since: str | None
    wait: int


def read_request(request: Request) -> Asked:
    """Read it. If-None-Match, which a cache adds, beats `since`. Raises RequestRejected with 400."""
    wait = http1.read_seconds(request.query.get("wait", "0"))
    if wait is None:
        raise RequestRejected(400, "bad_wait", "wait must be a number of seconds")
    tag = _ETAG.fullmatch(request.headers.get("if-none-match", ""))
    return Asked(
        types=jmap.read_types(request.query.get("types", "*")),
        since=(tag[1] if tag else request.query.get("since")) or None,
        wait=min(wait, MAX_WAIT_SECONDS),
    )


def encoder(fields: Mapping[str, str], date: Callable[[], str], *, conditional: bool, bodyless: bool) -> Encode:
    """The encoder of answers with these additional header fields; `date` gives the date of one.

    `bodyless` answers a HEAD. `conditional` answers 304 when nothing changed; a client without a cursor gets its first
    one with a 200.
    """

    def answer(changed: jmap.Changed, cursor: str) -> bytes:
        tagged = {**fields, "ETag": f'"{cursor}"'}
        if conditional and not changed:
            return http1.response(304, fields=tagged, date=date())
        body = jmap.state_change(changed, cursor)
        tagged["Content-Type"] = "application/json"
        return http1.response(200, body, tagged, date=date(), bodyless=bodyless)

    def encode(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
        return [answer(changed, cursor) for changed in changes]

    return encode
