"""The answered poll: has anything changed since a cursor (GET /jmap/changes). Pure.

Conditional requests as in RFC 9110 section 13, the cursor being the entity tag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tidings.errors import RequestRejected
from tidings.gateway import http1, jmap
from tidings.gateway.connection import Encode
from tidings.gateway.http1 import Request

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


@lru_cache(maxsize=256)
def encoder(fields: tuple[tuple[str, str], ...], *, conditional: bool) -> Encode:
    """The encoder of answers with these additional header fields.

    `conditional` answers 304 when nothing changed; a client without a cursor gets its first one with a 200. One
    encoder for the same arguments, so that answers are encoded once for many clients.
    """

    def answer(changed: jmap.Changed, cursor: str) -> bytes:
        tagged = {**dict(fields), "ETag": f'"{cursor}"'}
        if conditional and not changed:
            return http1.response(304, fields=tagged)
        body = jmap.state_change(changed, cursor)
        return http1.response(200, body, {**tagged, "Content-Type": "application/json"})

    def encode(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
        return [answer(changed, cursor) for changed in changes]

    return encode
