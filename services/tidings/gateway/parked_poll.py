"""A parked poll: answered when something changed, or when the client's patience ends."""

from __future__ import annotations

import time
from typing import Final

from tidings.errors import RequestRejected
from tidings.gateway import cors, http1, poll
from tidings.gateway.connection import Connection, Ends
from tidings.gateway.http1 import Request
from tidings.gateway.parked import Lot, Parked

POLL_PATH: Final = "/jmap/changes"
LOG_SECONDS: Final = 10.0
"""How long a poll waits for a log that is away, or for its turn to resynchronise."""
RETRY_SECONDS: Final = 5


class ParkedPoll(Parked):
    """The handler of polls, while they wait. `pinged` is when their patience ends."""

    wire_format = "poll"

    def __init__(self, lot: Lot, *, conditional: bool) -> None:
        super().__init__(lot)
        self._conditional = conditional

    def park(self, connection: Connection, wait: int) -> None:
        """Take over a connection whose request is accepted."""
        self._park(connection, b"", time.monotonic() + (wait or LOG_SECONDS))
        self._lot.reactor.reschedule(connection, connection.pinged)

    def _visit(self, connection: Connection, now: float) -> float | None:
        if now < connection.pinged:
            return connection.pinged
        self._answer(connection)
        return None

    def _answer(self, connection: Connection) -> None:
        """Say that nothing happened; where that is not known, say why."""
        if self._lot.hub.refresh(connection) or connection.handler is not self:
            return
        self._lot.counters.polls["503"] += 1
        reason, detail = "log_away", "the change log is away"
        if connection in self._lot.subscriptions.resyncs:
            reason, detail = "resync_waits", "too many clients have to fetch everything again: it is not your turn yet"
        self._end(connection, http1.rejection(RequestRejected(503, reason, detail, RETRY_SECONDS)), reason)

    def _expire(self, connection: Connection) -> None:
        self._answer(connection)

    def send_elsewhere(self, connection: Connection, reason: str) -> None:
        """Answer, so that the client asks elsewhere."""
        self._answer(connection)

    def finished(self, connection: Connection, *, changed: bool) -> None:
        """It was answered."""
        self._lot.counters.polls["304" if self._conditional and not changed else "200"] += 1
        super().finished(connection, changed=changed)


class PollRoute:
    """Takes polls."""

    upgrades: Final = False

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self._conditional = ParkedPoll(lot, conditional=True)
        self._first = ParkedPoll(lot, conditional=False)

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no plain GET."""
        http1.check_get(request)

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Answer a poll at once, or park it. Raises RequestRejected (400)."""
        asked = poll.read_request(request)
        conditional = asked.since is not None
        encode = poll.encoder(tuple(cors.response_fields(request.headers).items()), conditional=conditional)
        # A poll that waits is told nothing before something changed.
        greets = not conditional or not asked.wait
        form = self._lot.subscriptions.form(asked.types, encode, Ends.AT_ONCE, greets=greets)
        (self._conditional if conditional else self._first).park(connection, asked.wait)
        self._lot.subscriptions.subscribe(connection, form, asked.since)
        self._lot.lives.subscribed(connection)
