"""The event stream (RFC 8620 section 7.3; server-sent events, HTML section 9.2): what is asked, what is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tidings.errors import RequestRejected
from tidings.gateway.codecs import http1, jmap
from tidings.gateway.codecs.http1 import Request

MIN_PING_SECONDS: Final = 30
MAX_PING_SECONDS: Final = 300
LAST_EVENT_ID: Final = "lastEventId"
"""Where clients that may set no header say what `Last-Event-ID` says."""


class Asked(NamedTuple):
    """What a request for an event stream asks.

    `types` None means all; `once`: the stream ends after the first change; `ping` in seconds, 0 for never; `since`
    is the cursor of the last event the client had; `status`: to be told when changes cannot reach it.
    """

    types: frozenset[str] | None
    once: bool
    ping: int
    since: str | None
    status: bool = False


def read_request(request: Request) -> Asked:
    """Read it. A ping outside of what is granted is moved to the nearest that is. Raises RequestRejected with 400."""
    closeafter = request.query.get("closeafter", "no")
    if closeafter not in ("state", "no"):
        raise RequestRejected(400, "bad_closeafter", "closeafter must be state or no")
    status = request.query.get("status", "no")
    if status not in ("yes", "no"):
        raise RequestRejected(400, "bad_status", "status must be yes or no")
    seconds = http1.read_seconds(request.query.get("ping", "0"))
    if seconds is None:
        raise RequestRejected(400, "bad_ping", "ping must be a number of seconds, 0 for never")
    return Asked(
        types=jmap.read_types(request.query.get("types", "*")),
        once=closeafter == "state",
        ping=min(max(seconds, MIN_PING_SECONDS), MAX_PING_SECONDS) if seconds else 0,
        since=request.headers.get("last-event-id") or request.query.get(LAST_EVENT_ID) or None,
        status=status == "yes",
    )


def opening(fields: Mapping[str, str], date: str) -> bytes:
    """The head of a response of this date. The body ends with the connection."""
    # A proxy that buffers would hold events back; nginx, the usual one, is told so by a field of its own.
    # An event stream is UTF-8; libraries that know only HTTP would take a text without a charset for Latin-1.
    content_type = "text/event-stream; charset=utf-8"
    return http1.head(200, {"Content-Type": content_type, "X-Accel-Buffering": "no", **fields}, date)


_NOTHING: Final = jmap.state_change({})
"""Data of events that have none: many clients forget the id of an event without, and some hand out its empty text."""


def encode(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
    """`state` events; where nothing changed a `cursor` event, which moves the client's cursor and has no listener."""
    moved = f"id: {cursor}\n".encode()
    return [
        b"event: state\n" + moved + b"data: " + jmap.state_change(changed) + b"\n\n"
        if changed
        else b"event: cursor\n" + moved + b"data: " + _NOTHING + b"\n\n"
        for changed in changes
    ]


def encode_with_status(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
    """As `encode`, for those who are told of outages too: they are known by it."""
    return encode(changes, cursor)


COMMENT: Final = b":\n\n"
"""Something to say to a client that may be gone. Who is there ignores it (HTML section 9.2.6)."""


def ping(seconds: int) -> bytes:
    """A `ping` event, without an id."""
    return f'event: ping\ndata: {{"interval":{seconds}}}\n\n'.encode()


def status(*, stalled: bool) -> bytes:
    """A `status` event, without an id, for who asked for it: whether changes cannot reach the client for now."""
    return b"event: status\ndata: " + jmap.push_status(stalled=stalled) + b"\n\n"


def retry(milliseconds: int) -> bytes:
    """Tell the client how long to wait before it connects again, in a `retry` event without an id."""
    return f"event: retry\nretry: {milliseconds}\ndata: ".encode() + _NOTHING + b"\n\n"
