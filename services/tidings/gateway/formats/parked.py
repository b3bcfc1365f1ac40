"""What parked connections of every wire format have in common: their timers, their end, what is counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from tidings.gateway.formats.counters import ParkedCounters
from tidings.gateway.hub.hub import Hub
from tidings.gateway.limits.admission import Admission
from tidings.gateway.limits.lobby import Lobby
from tidings.gateway.limits.talk import Talk
from tidings.gateway.model.connection import AgeLimit, Connection, Handler, Leave
from tidings.gateway.model.form import Encode, Ends, Form
from tidings.gateway.model.witness import Witness
from tidings.gateway.net import listener
from tidings.gateway.net.closing import Closing
from tidings.gateway.net.reactor import Reactor

REFRESH_SECONDS: Final = 120.0
RETRY_SECONDS: Final = 5
"""What a client is told to wait for that is sent away for a while."""


class Subscriptions(Protocol):
    """What clients ask for, and what becomes of it."""

    def form(
        self, types: frozenset[str] | None, encode: Encode, ends: Ends = Ends.NEVER, *, greets: bool = True
    ) -> Form:
        """The form for these data types and this wire format that all share who want the same; see Form."""

    def subscribe(self, connection: Connection, form: Form, since: str | None) -> None:
        """Tell a connection of changes from now on, after what it missed since a cursor; again to change either."""

    def unsubscribe(self, connection: Connection) -> None:
        """Tell it nothing more, until it subscribes again."""

    def left(self, connection: Connection) -> None:
        """It is gone for good."""

    def is_stalled(self, connection: Connection) -> bool:
        """Whether a client may miss changes for now, since the log is silent."""

    def resync_waits(self, connection: Connection) -> bool:
        """Whether it waits for its turn to resynchronise."""

    def resume_waits(self, connection: Connection) -> bool:
        """Whether it waits since its account or connection has had too much looked up."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What the handlers of parked connections work with.

    `first_visit` is within how many seconds of its parking the timer of a connection goes off first.
    """

    reactor: Reactor
    hub: Hub
    subscriptions: Subscriptions
    closing: Closing
    lobby: Lobby
    admission: Admission
    witness: Witness
    first_visit: float
    talk: Talk
    counters: ParkedCounters = field(default_factory=ParkedCounters)


class Parked(Handler):
    """A handler of parked connections; each wire format says what its timer and its end mean."""

    wire_format: ClassVar[str]

    def __init__(self, lot: Lot) -> None:
        self._lot = lot

    def _park(self, connection: Connection, response: bytes, moment: float) -> None:
        connection.handler = self
        connection.moment = moment
        self._lot.lobby.leave(connection)
        self._lot.counters.count_opened(self.wire_format)
        self._lot.witness.reached(connection, "parked")
        if connection.expires is not None and connection.expires < time.monotonic() + self._lot.first_visit:
            self._lot.reactor.reschedule(connection, connection.expires)
        if response:
            self._lot.reactor.send((connection,), response)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Whoever listens has nothing to say, and may not say it without end."""
        if self._lot.talk.is_too_much(connection, len(data)):
            self._lot.reactor.close(connection, "too_many_bytes")

    def half_closed(self, connection: Connection) -> None:
        """It is gone: a WebSocket that only one side may use is none (RFC 6455 section 7.1.4)."""
        self._lot.reactor.close(connection, "eof")

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close for its token, its age or a write without progress; else look after the connection."""
        if connection.expires is not None and now >= connection.expires:
            self.leave(connection, Leave.MAX_AGE if isinstance(connection.expires, AgeLimit) else Leave.TOKEN_EXPIRED)
            return None
        since = self._lot.reactor.blocked_since(connection)
        if since is None:
            due = self._visit(connection, now)
            if due is None:
                return None
        elif now - since >= listener.WRITE_SECONDS:
            self._lot.reactor.close(connection, "write_deadline")
            return None
        else:
            due = since + listener.WRITE_SECONDS
        return due if connection.expires is None else min(due, connection.expires)

    def _visit(self, connection: Connection, now: float) -> float | None:
        """What is due while nothing else is; when the next visit is due, or None for a connection that is done."""
        raise NotImplementedError

    def leave(self, connection: Connection, why: Leave) -> None:
        raise NotImplementedError

    def unblocked(self, connection: Connection) -> None:
        """Tell what waited for the write."""
        self._lot.hub.unblocked(connection)

    def closed(self, connection: Connection, reason: str) -> None:
        self._forget(connection, reason)

    def _forget(self, connection: Connection, reason: str) -> str:
        """Forget it; the address that it counted for."""
        self._lot.subscriptions.left(connection)
        address = self._lot.admission.release(connection)
        self._lot.talk.forget(connection)
        self._lot.counters.count_closed(self.wire_format, reason)
        self._lot.witness.closed(connection, reason, self.wire_format)
        return address

    def _end(self, connection: Connection, last: bytes, reason: str) -> None:
        address = self._forget(connection, reason)
        self._lot.closing.finish(connection, last, address)
