"""The end of a connection that was told why: let the peer read it, then close."""

from __future__ import annotations

import time
from typing import Final

from tidings.gateway.connection import Connection
from tidings.gateway.reactor import Reactor

LINGER_SECONDS: Final = 2.0


class Closing:
    """The handler of connections whose last bytes are written or being written. What they say is not heard."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def finish(self, connection: Connection, last: bytes) -> None:
        """Send the last bytes, then FIN; close at the peer's FIN, at the latest after LINGER_SECONDS."""
        connection.handler = self
        connection.pinged = time.monotonic()
        reactor = self._reactor
        reactor.send((connection,), last)
        if connection.handler is not self:
            return
        if not reactor.is_blocked(connection):
            reactor.shut_down_writing(connection)
        reactor.reschedule(connection, connection.pinged + LINGER_SECONDS)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Read on, so that the close sends no RST."""

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close when the time is up."""
        due = connection.pinged + LINGER_SECONDS
        if now < due:
            return due
        self._reactor.close(connection, "lingered")
        return None

    def unblocked(self, connection: Connection) -> None:
        """The last bytes are on their way."""
        self._reactor.shut_down_writing(connection)

    def closed(self, connection: Connection, reason: str) -> None:
        """The reason was counted when it was told."""
