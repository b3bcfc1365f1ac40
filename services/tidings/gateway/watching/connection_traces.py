"""The lives of some connections, from accept to close, as operators look at them. Pure.

A connection that is followed is in a table beside it, and has no field for that. What it is told is not noticed on the
hot path: `look` reads off the connection, a few times a second, when that was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from asyncio_pprof.traces.book import Family, Trace
from asyncio_pprof.traces.sampling import Sampler
from tidings.gateway.model.connection import Connection

LOOK_SECONDS: Final = 0.25
"""How often `look` is to be called."""
GOOD_ENDS: Final = frozenset({"eof", "reset", "client_closed", "told", "shutdown", "token_expired", "max_age"})
"""Reasons of a close that are no error."""


class ConnectionTraces:
    """Follows connections. `refresh_seconds`: after so long without a push an idle one gets a fresh cursor."""

    def __init__(self, family: Family, sampler: Sampler, clock: Callable[[], float], refresh_seconds: float) -> None:
        self._family = family
        self._sampler = sampler
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._followed: dict[Connection, Trace] = {}
        self._expecting: dict[Connection, float] = {}

    def accepted(self, connection: Connection, now: float) -> None:
        if self._sampler.take(now):
            if self._family.is_full:
                self._drop_oldest(now)
            self._followed[connection] = self._family.begin("connection", now)

    def _drop_oldest(self, now: float) -> None:
        connection, trace = next(iter(self._followed.items()))
        trace.mark(now, "not followed any longer, because newer ones are")
        self._family.end(trace)
        self._forget(connection)

    def reached(self, connection: Connection, stage: str) -> None:
        trace = self._followed.get(connection)
        if trace is not None:
            trace.mark(self._clock(), stage)

    def routed(self, connection: Connection, path: str) -> None:
        """Its request is for one of our own paths."""
        trace = self._followed.get(connection)
        if trace is not None:
            trace.title = path
            trace.mark(self._clock(), "route")

    def subscribed(self, connection: Connection) -> None:
        """It is told of changes from now on."""
        trace = self._followed.get(connection)
        if trace is not None:
            trace.mark(self._clock(), "subscribed")
            if trace.latency is None:
                self._expecting[connection] = 0.0
                self._look_at(connection, trace)

    def look(self) -> None:
        """See who has been told of something since."""
        for connection in tuple(self._expecting):
            self._look_at(connection, self._followed[connection])

    def _look_at(self, connection: Connection, trace: Trace) -> None:
        told, before = connection.pushed_at, self._expecting[connection]
        if told == before:
            return
        if not before:
            self._expecting[connection] = told
            trace.mark(told, "first cursor")
            self._family.settle(trace, told)
            return
        del self._expecting[connection]
        trace.mark(told, "first push" if told - before < self._refresh_seconds else "first push, or a fresh cursor")

    def handed_over(self, connection: Connection) -> None:
        """The HTTP application serves it from now on."""
        trace = self._forget(connection)
        if trace is not None:
            now = self._clock()
            trace.title = "handed over"
            trace.mark(now, "handed over to the HTTP application")
            self._family.settle(trace, now)
            self._family.end(trace)

    def rejected(self, connection: Connection, path: str, status: int, reason: str) -> None:
        """It was answered with an error. All of these are kept, followed before or not; `moment` is its accept."""
        trace = self._forget(connection) or self._family.begin(path, connection.moment)
        trace.title = path
        end = self._family.fail if status >= 500 else self._family.reject
        end(trace, self._clock(), f"rejected: {status} {reason}")

    def closed(self, connection: Connection, reason: str) -> None:
        """It is gone, or told to go."""
        trace = self._followed.get(connection)
        if trace is None:
            return
        if connection in self._expecting:
            self._look_at(connection, trace)
        self._forget(connection)
        now = self._clock()
        if reason in GOOD_ENDS:
            trace.mark(now, f"closed: {reason}")
            self._family.settle(trace, now)
            self._family.end(trace)
        else:
            self._family.fail(trace, now, f"closed: {reason}")

    def _forget(self, connection: Connection) -> Trace | None:
        self._expecting.pop(connection, None)
        return self._followed.pop(connection, None)
