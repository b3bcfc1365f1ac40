"""Drives the hub: its frames to the reactor, its deadlines to the loop, outages to clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from tidings.gateway.hub.hub import Hub
from tidings.gateway.hub.outages import LOOK_SECONDS, Outages
from tidings.gateway.model.connection import Connection, Leave
from tidings.gateway.net.reactor import Reactor

OUTAGE_CHUNK: Final = 64
"""How many connections are told of an outage before others have their turn."""


class Driver:
    """The hub's sink. Uses that the loop's clock is the monotonic clock, which the hub uses too."""

    def __init__(self, reactor: Reactor) -> None:
        self.send: Callable[[Sequence[Connection], bytes], None] = reactor.send
        self.send_each: Callable[[Sequence[Connection], Sequence[bytes]], None] = reactor.send_each
        self.fail: Callable[[Sequence[Connection], Exception], None] = reactor.fail
        self.is_blocked: Callable[[Connection], bool] = reactor.is_blocked
        self._loop = asyncio.get_running_loop()
        self._hub: Hub | None = None
        self._deferred = False

    def start(self, hub: Hub) -> None:
        self._hub = hub

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        """End connections that were told what they wait for."""
        why = Leave.TOLD if changed else Leave.UNCHANGED
        for connection in connections:
            connection.handler.leave(connection, why)

    def turn_away(self, connection: Connection) -> None:
        """End a connection that there is no room for."""
        connection.handler.leave(connection, Leave.NO_ROOM)

    def defer(self) -> None:
        """Drain once the loop has looked at everybody else."""
        if not self._deferred:
            self._deferred = True
            self._loop.call_soon(self._drain)

    def cool(self, due: float) -> None:
        """End coalescing intervals at `due`."""
        self._loop.call_at(due, self._expire)

    def _drain(self) -> None:
        self._deferred = False
        if self._hub is not None:
            self._hub.drain()

    def _expire(self) -> None:
        if self._hub is not None:
            self._hub.expire()


async def tell_outages(outages: Outages, reactor: Reactor) -> None:
    """Tell clients when changes cannot reach them, and when they can again; does not return."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        before = outages.look()
        if before == outages.silent:
            continue
        for number, connection in enumerate(reactor.connections()):
            if number % OUTAGE_CHUNK == 0:
                await asyncio.sleep(0)
            stalled = outages.concern(connection)
            if stalled is not outages.concern(connection, before):
                connection.handler.tell_outage(connection, stalled=stalled)
