"""The end of a connection that was told why: let the peer read it, then close."""

from __future__ import annotations

import time
from typing import Final

from tidings.gateway.limits.lobby import Lobby
from tidings.gateway.limits.talk import Talk
from tidings.gateway.model.connection import CLOSED, Connection, Handler
from tidings.gateway.net import listener
from tidings.gateway.net.reactor import Reactor

LINGER_SECONDS: Final = 2.0
LAST_SECONDS: Final = 300.0
"""How long the last bytes may take, however steadily a client reads a few of them."""


class Closing(Handler):
    """The handler of connections whose last bytes are written or being written. What they say is not heard.

    They wait in the lobby, so that they are the first to go where there is no room. `moment` is when their time began:
    with the last bytes, and again once those are written.
    """

    def __init__(self, reactor: Reactor, lobby: Lobby, talk: Talk) -> None:
        self._reactor = reactor
        self._lobby = lobby
        self._talk = talk

    def finish(self, connection: Connection, last: bytes, address: str = "") -> None:
        """Send the last bytes, then FIN; close at the peer's FIN, at the latest LINGER_SECONDS after ours.

        Who reads none of them within that time is closed too; who does has the time that any write may take.

        `address` is what one counts for that has been parked; "" where it is not known.
        """
        if connection.handler is CLOSED:
            # It had to go while its answer was made.
            return
        connection.handler = self
        connection.moment = time.monotonic()
        connection.let_go()
        self._lobby.stay(connection, address)
        reactor = self._reactor
        reactor.send((connection,), last)
        if connection.handler is not self:
            return
        if not reactor.is_blocked(connection):
            reactor.shut_down_writing(connection)
        reactor.reschedule(connection, connection.moment + LINGER_SECONDS)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Read on, so that the close sends no RST; but not without end."""
        if self._talk.is_too_much(connection, len(data)):
            self._reactor.close(connection, "too_many_bytes")

    def half_closed(self, connection: Connection) -> None:
        """Nothing more will be heard; what was said is sent all the same."""
        if not self._reactor.is_blocked(connection):
            self._reactor.close(connection, "eof")

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close when the time is up."""
        due = self._due(connection)
        if now < due:
            return due
        self._reactor.close(connection, "lingered")
        return None

    def _due(self, connection: Connection) -> float:
        began = connection.moment
        since = self._reactor.blocked_since(connection)
        if since is None or since <= began:
            return began + LINGER_SECONDS
        return min(since + listener.WRITE_SECONDS, began + LAST_SECONDS)

    def unblocked(self, connection: Connection) -> None:
        """The last bytes are on their way; from now on it is the peer's turn."""
        connection.moment = time.monotonic()
        self._reactor.reschedule(connection, connection.moment + LINGER_SECONDS)
        self._reactor.shut_down_writing(connection)

    def closed(self, connection: Connection, reason: str) -> None:
        """Forget it; the reason was counted when it was told."""
        self._lobby.leave(connection)
        self._talk.forget(connection)
