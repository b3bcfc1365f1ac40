"""A parked event stream (RFC 8620 section 7.3): pings, and an end that spreads the reconnects."""

from __future__ import annotations

import random
import time
from typing import Final
from weakref import WeakValueDictionary

from tidings.gateway.codecs import cors, eventsource, http1
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.formats.parked import REFRESH_SECONDS, RETRY_SECONDS, Lot, Parked
from tidings.gateway.model.connection import Connection, Leave
from tidings.gateway.model.form import Ends
from tidings.ops.http.dates import http_date

RETRY_MS: Final = (500, 1_500)
"""Browsers keep to it from then on, also when the next gateway they have is killed: hence not less."""


class ParkedEventSource(Parked):
    """The handler of event streams with one ping interval, in seconds; 0 for no pings. `moment` is the last ping."""

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
        since = max(connection.moment, told) if self._interval <= REFRESH_SECONDS else connection.moment
        pinged = bool(self._interval) and now >= since + self._interval
        if pinged:
            self._lot.reactor.send((connection,), self._ping)
            connection.moment = since = now
        if now >= told + REFRESH_SECONDS:
            self._lot.hub.refresh(connection)
            told = now
        return min(told + REFRESH_SECONDS, since + (self._interval or REFRESH_SECONDS))

    def tell_outage(self, connection: Connection, *, stalled: bool) -> None:
        """Tell who asked for it."""
        if connection.form is not None and connection.form.encode is eventsource.encode_with_status:
            self._lot.reactor.send((connection,), eventsource.status(stalled=stalled))

    def half_closed(self, connection: Connection) -> None:
        """It may still read. If it is gone, its kernel says so once it is sent something."""
        self._lot.reactor.send((connection,), eventsource.COMMENT)

    def leave(self, connection: Connection, why: Leave) -> None:
        """Have the client connect again: soon and not in step with everybody else, or later where there is no room."""
        last = b""
        if why is Leave.NO_ROOM:
            last = eventsource.retry(RETRY_SECONDS * 1_000)
        elif why in (Leave.MAX_AGE, Leave.SHUTDOWN, Leave.MOVED):
            last = eventsource.retry(random.randrange(*RETRY_MS))  # noqa: S311 - spreads the reconnects
        self._end(connection, last, why)


class EventSourceRoute:
    """Opens event streams."""

    upgrades: Final = False

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self._by_interval: WeakValueDictionary[int, ParkedEventSource] = WeakValueDictionary()
        """While there are streams with such an interval."""

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no plain GET or HEAD."""
        http1.check_get(request)

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Open a stream and park it. Raises RequestRejected (400)."""
        asked = eventsource.read_request(request)
        handler = self._by_interval.get(asked.ping)
        if handler is None:
            handler = self._by_interval[asked.ping] = ParkedEventSource(self._lot, asked.ping)
        subscriptions = self._lot.subscriptions
        encode = eventsource.encode_with_status if asked.status else eventsource.encode
        form = subscriptions.form(asked.types, encode, Ends.WITH_CHANGE if asked.once else Ends.NEVER)
        opening = eventsource.opening(cors.response_fields(request.headers), http_date())
        # The first event may have to wait. A client that has something of the body knows that nothing holds it back.
        handler.park(connection, opening if request.method == "HEAD" else opening + eventsource.COMMENT)
        if connection.handler is not handler:
            return
        if request.method == "HEAD":
            handler.leave(connection, Leave.TOLD)
        else:
            subscriptions.subscribe(connection, form, asked.since)
            self._lot.witness.subscribed(connection)
            if subscriptions.is_stalled(connection):
                handler.tell_outage(connection, stalled=True)
