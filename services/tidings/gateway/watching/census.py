"""Which client connections there are, by wire format and state; counted from another thread, while they change."""

from __future__ import annotations

from collections.abc import Iterator

from tidings.gateway.entrance.handover import HandOver
from tidings.gateway.formats.parked import Parked
from tidings.gateway.model.connection import Connection
from tidings.gateway.net.closing import Closing
from tidings.gateway.net.reactor import Reactor


def census(reactor: Reactor, hand_over: HandOver) -> Iterator[tuple[str, ...]]:
    """What each client connection is, the general first: ("client", "websocket", "subscribed")."""
    for connection in reactor.connections():
        yield ("client", *_what(reactor, connection))
    for _ in range(len(hand_over)):
        yield ("client", "http")


def _what(reactor: Reactor, connection: Connection) -> tuple[str, ...]:
    handler = connection.handler
    if isinstance(handler, Parked):
        if reactor.is_blocked(connection):
            return handler.wire_format, "blocked"
        return handler.wire_format, "subscribed" if connection.form is not None else "not subscribed"
    return ("closing",) if isinstance(handler, Closing) else ("head",)
