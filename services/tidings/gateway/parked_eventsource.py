"""A parked event stream (RFC 8620 section 7.3): pings, and an end that spreads the reconnects."""

from __future__ import annotations

import random
import time
from typing import Final

from tidings.gateway import cors, eventsource, http1
from tidings.gateway.connection import Connection, Ends
from tidings.gateway.http1 import Request
from tidings.gateway.parked import REFRESH_SECONDS, Lot, Parked

EVENTSOURCE_PATH: Final = "/jmap/eventsource"
RETRY_MS: Final = (500, 1_500)
"""Browsers keep to it from then on, also when the next gateway they have is killed: hence not less."""


class ParkedEventSource(Parked):
    """The handler of the event streams with one ping interval, in seconds; 0 for no pings."""

    wire_format = "eventsource"

    def __init__(self, lot: Lot, interval: int) -> None:
        super().__init__(lot)
        self._interval = interval
        self._ping = eventsource.ping(interval)

    def park(self, connection: Connection, opening: bytes) -> None:
        """Take over a connection whose request is accepted."""
        self._park(connection, opening, time.monotonic())

    def _visit(self, connection: Connection, now: float) -> float | None:
        told = connection.pushed_at
        # A fresh cursor is no event. Where it is due more often than a ping, pushes do not put the ping off.
        since = max(connection.pinged, told) if self._interval <= REFRESH_SECONDS else connection.pinged
        pinged = bool(self._interval) and now >= since + self._interval
        if pinged:
            self._lot.reactor.send((connection,), self._ping)
            connection.pinged = since = now
        if now >= told + REFRESH_SECONDS:
            self._lot.hub.refresh(connection)
            told = now
        return min(told + REFRESH_SECONDS, since + (self._interval or REFRESH_SECONDS))

    def _expire(self, connection: Connection) -> None:
        self._end(connection, b"", "token_expired")

    def send_elsewhere(self, connection: Connection, reason: str) -> None:
        """Have the client connect again soon, not in step with everybody else."""
        pause = random.randrange(*RETRY_MS)  # noqa: S311 - spreads the reconnects
        self._end(connection, eventsource.retry(pause), reason)


class EventSourceRoute:
    """Opens event streams."""

    upgrades: Final = False

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self._by_interval: dict[int, ParkedEventSource] = {}

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no plain GET."""
        http1.check_get(request)

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Open a stream and park it. Raises RequestRejected (400)."""
        asked = eventsource.read_request(request)
        handler = self._by_interval.get(asked.ping)
        if handler is None:
            handler = self._by_interval[asked.ping] = ParkedEventSource(self._lot, asked.ping)
        subscriptions = self._lot.subscriptions
        form = subscriptions.form(asked.types, eventsource.encode, Ends.WITH_CHANGE if asked.once else Ends.NEVER)
        handler.park(connection, eventsource.opening(cors.response_fields(request.headers)))
        if connection.handler is handler:
            subscriptions.subscribe(connection, form, asked.since)
            self._lot.lives.subscribed(connection)
