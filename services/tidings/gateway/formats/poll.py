"""A parked poll: answered when something changed, or when the client's patience ends."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Final
from weakref import WeakValueDictionary

from tidings.errors import RequestRejected
from tidings.gateway.codecs import cors, http1, poll
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.formats.parked import RETRY_SECONDS, Lot, Parked
from tidings.gateway.model.connection import Connection, Leave
from tidings.gateway.model.form import Ends
from tidings.ops.http.dates import http_date

POLL_PATH: Final = "/jmap/changes"
LOG_SECONDS: Final = 10.0
"""How long a poll waits for a log that is away, or for its turn to resynchronise."""
OUTAGE_SECONDS: Final = 8.0
"""How long it takes until all polls are answered that cannot be told of changes."""


class ParkedPoll(Parked):
    """The handler of polls while they wait. `moment` is when their patience ends.

    `fields` go into their answers; `conditional`: they gave a cursor; `bodyless`: they ask with HEAD.
    """

    wire_format = "poll"

    def __init__(self, lot: Lot, fields: Mapping[str, str], *, conditional: bool, bodyless: bool) -> None:
        super().__init__(lot)
        self.encode = poll.encoder(fields, http_date, conditional=conditional, bodyless=bodyless)
        self._fields = fields
        self._conditional = conditional
        self._bodyless = bodyless

    def park(self, connection: Connection, wait: int) -> None:
        """Take over a connection whose request is accepted."""
        self._park(connection, b"", time.monotonic() + (wait or LOG_SECONDS))
        self._lot.reactor.reschedule(connection, connection.moment)

    def _visit(self, connection: Connection, now: float) -> float | None:
        if now < connection.moment:
            return connection.moment
        self._answer(connection)
        return None

    def _answer(self, connection: Connection) -> None:
        """Say that nothing happened; where that is not known, say why."""
        known = not self._lot.subscriptions.is_stalled(connection)
        if (known and self._lot.hub.refresh(connection)) or connection.handler is not self:
            return
        reason, detail = "log_away", "the change log is away"
        if self._lot.subscriptions.resync_waits(connection):
            reason, detail = "resync_waits", "too many clients resynchronise now: try again later"
        elif self._lot.subscriptions.resume_waits(connection):
            reason, detail = "resume_waits", "this account has used up its lookups: try again later"
        self._refuse(connection, reason, detail)

    def _refuse(self, connection: Connection, reason: str, detail: str) -> None:
        self._lot.counters.polls["503"] += 1
        error = RequestRejected(503, reason, detail, RETRY_SECONDS)
        answer = http1.rejection(error, self._fields, date=http_date(), bodyless=self._bodyless)
        self._end(connection, answer, reason)

    def half_closed(self, connection: Connection) -> None:
        """Answer at once: who has gone is not waited for, and who still reads may ask again."""
        if self._lot.subscriptions.is_stalled(connection):
            self._answer(connection)
        elif not self._lot.hub.refresh(connection):
            self._wait_until(connection, time.monotonic() + LOG_SECONDS)

    def tell_outage(self, connection: Connection, *, stalled: bool) -> None:
        """Answer soon, not everybody at once: who polls hears of it in no other way."""
        if stalled:
            self._wait_until(connection, time.monotonic() + random.uniform(0, OUTAGE_SECONDS))  # noqa: S311 - spreads

    def _wait_until(self, connection: Connection, due: float) -> None:
        """Have no more patience than this."""
        if due < connection.moment:
            connection.moment = due
            self._lot.reactor.reschedule(connection, connection.moment)

    def leave(self, connection: Connection, why: Leave) -> None:
        """Answer, so that the client asks again, which leads elsewhere; who was told has had its answer."""
        if why in (Leave.TOLD, Leave.UNCHANGED):
            self._lot.counters.polls["304" if self._conditional and why is Leave.UNCHANGED else "200"] += 1
            self._end(connection, b"", Leave.TOLD)
        elif why is Leave.NO_ROOM:
            self._refuse(connection, why, "there is no room for this subscription now")
        else:
            self._answer(connection)


class PollRoute:
    """Takes polls."""

    upgrades: Final = False

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        # One for all polls that are answered alike, so that a change is encoded once for them; while there are any.
        self._handlers: WeakValueDictionary[tuple[object, ...], ParkedPoll] = WeakValueDictionary()

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no plain GET or HEAD."""
        http1.check_get(request)

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Answer a poll at once, or park it. Raises RequestRejected (400)."""
        asked = poll.read_request(request)
        conditional = asked.since is not None
        bodyless = request.method == "HEAD"
        handler = self._handler(cors.response_fields(request.headers), conditional, bodyless)
        # A poll that waits is told nothing before something changed.
        greets = not conditional or not asked.wait
        form = self._lot.subscriptions.form(asked.types, handler.encode, Ends.AT_ONCE, greets=greets)
        handler.park(connection, asked.wait)
        self._lot.subscriptions.subscribe(connection, form, asked.since)
        self._lot.witness.subscribed(connection)
        if connection.handler is handler and self._lot.subscriptions.is_stalled(connection):
            handler.tell_outage(connection, stalled=True)

    def _handler(self, fields: Mapping[str, str], conditional: bool, bodyless: bool) -> ParkedPoll:
        key = (frozenset(fields.items()), conditional, bodyless)
        handler = self._handlers.get(key)
        if handler is None:
            handler = self._handlers[key] = ParkedPoll(self._lot, fields, conditional=conditional, bodyless=bodyless)
        return handler
