"""Drives the hub: its frames to the reactor, its deadlines to the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tidings.gateway.connection import Connection
from tidings.gateway.hub import Hub
from tidings.gateway.parked import Parked
from tidings.gateway.reactor import Reactor


class Pump:
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
        """Drive this hub."""
        self._hub = hub

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        """End connections that were told what they wait for."""
        for connection in connections:
            if isinstance(connection.handler, Parked):
                connection.handler.finished(connection, changed=changed)

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
