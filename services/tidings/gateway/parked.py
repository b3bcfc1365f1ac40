"""What parked connections of every wire format have in common: their timers, their end, what is counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tidings.gateway.admission import Admission
from tidings.gateway.closing import Closing
from tidings.gateway.connection import Connection
from tidings.gateway.drain import AgeLimit
from tidings.gateway.hub import Hub
from tidings.gateway.journal import Journal
from tidings.gateway.lives import Lives
from tidings.gateway.reactor import Reactor
from tidings.gateway.subscriptions import Subscriptions

WRITE_SECONDS: Final = 30.0
REFRESH_SECONDS: Final = 120.0
POLL_SECONDS: Final = 30.0
"""How often a client that is not pushed to would ask, by which the polls avoided are counted."""


@dataclass(slots=True)
class ParkedCounters:
    """Plain numbers, read by the metrics collector."""

    clock: Callable[[], float] = time.monotonic
    open: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[tuple[str, ...]] = field(default_factory=Counter)
    polls: Counter[str] = field(default_factory=Counter)
    messages_in: int = 0
    request_errors: int = 0
    _since: float = 0.0
    _seconds: float = 0.0

    def count_opened(self, wire_format: str) -> None:
        """One more."""
        self._advance()
        self.open[wire_format] += 1
        self.opened[wire_format] += 1

    def count_closed(self, wire_format: str, reason: str) -> None:
        """One less."""
        self._advance()
        self.open[wire_format] -= 1
        self.closed[wire_format, reason] += 1

    def parked_seconds(self) -> float:
        """For how long connections have been parked, all of them together."""
        return self._seconds + self.open.total() * (self.clock() - self._since)

    def _advance(self) -> None:
        now = self.clock()
        self._seconds += self.open.total() * (now - self._since)
        self._since = now


@dataclass(frozen=True, slots=True)
class Lot:
    """What the handlers of parked connections work with.

    `first_visit` is how many seconds after the accept the timer of a connection goes off first.
    """

    reactor: Reactor
    hub: Hub
    subscriptions: Subscriptions
    closing: Closing
    admission: Admission
    journal: Journal
    lives: Lives
    first_visit: float
    counters: ParkedCounters = field(default_factory=ParkedCounters)


class Parked:
    """A handler of parked connections; each wire format says what its timer and its end mean."""

    wire_format: ClassVar[str]

    def __init__(self, lot: Lot) -> None:
        self._lot = lot

    def _park(self, connection: Connection, response: bytes, pinged: float) -> None:
        connection.handler = self
        connection.pinged = pinged
        self._lot.counters.count_opened(self.wire_format)
        self._lot.lives.reached(connection, "parked")
        if connection.expires is not None and connection.expires < time.monotonic() + self._lot.first_visit:
            self._lot.reactor.reschedule(connection, connection.expires)
        if response:
            self._lot.reactor.send((connection,), response)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Whoever listens has nothing to say."""

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close for its token, its age or a write without progress; else look after the connection."""
        if connection.expires is not None and now >= connection.expires:
            if isinstance(connection.expires, AgeLimit):
                self.send_elsewhere(connection, "max_age")
            else:
                self._expire(connection)
            return None
        since = self._lot.reactor.blocked_since(connection)
        if since is None:
            due = self._visit(connection, now)
            if due is None:
                return None
        elif now - since >= WRITE_SECONDS:
            self._lot.reactor.close(connection, "write_deadline")
            return None
        else:
            due = since + WRITE_SECONDS
        return due if connection.expires is None else min(due, connection.expires)

    def _visit(self, connection: Connection, now: float) -> float | None:
        """What is due while nothing else is; when the next visit is due, or None for a connection that is done."""
        raise NotImplementedError

    def _expire(self, connection: Connection) -> None:
        """Say that the token has expired, and end."""
        raise NotImplementedError

    def send_elsewhere(self, connection: Connection, reason: str) -> None:
        """Have the client connect again, which leads to another gateway; `reason` is a metric label."""
        raise NotImplementedError

    def unblocked(self, connection: Connection) -> None:
        """Tell what waited for the write."""
        self._lot.hub.unblocked(connection)

    def finished(self, connection: Connection, *, changed: bool) -> None:
        """It was told what it waits for."""
        self._end(connection, b"", "told")

    def closed(self, connection: Connection, reason: str) -> None:
        """Forget it."""
        self._lot.subscriptions.unsubscribe(connection)
        self._lot.admission.release(connection)
        self._lot.counters.count_closed(self.wire_format, reason)
        self._lot.journal.closed(connection, self.wire_format, reason)
        self._lot.lives.closed(connection, reason)

    def _end(self, connection: Connection, last: bytes, reason: str) -> None:
        self.closed(connection, reason)
        self._lot.closing.finish(connection, last)
