"""The lives of some batches in this gateway, and which accounts are pushed to most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from asyncio_pprof.traces import Family, Sampler, Trace
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.connection import CLOSED, Connection
from tidings.gateway.net.reactor import Reactor
from tidings.gateway.watching.talkers import Talkers
from tidings.wire import batch as batches
from tidings.wire.batch import Batch

if TYPE_CHECKING:
    from tidings.gateway.watching.change_traces import ChangeTraces

PAUSES_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Between looks at what a client's kernel has acknowledged."""
SLOW_SECONDS: Final = 0.1
"""A batch that came so long after its append is followed in any case, unless there are very many of them."""
SLOW_EVERY: Final = 64
SLOW_PAUSE_SECONDS: Final = 0.05
COUNT_EVERY: Final = 128
COUNT_SECONDS: Final = 0.25
"""One in so many batches is counted for the talkers, and the first after so long without one."""


class BatchTraces:
    """Hears of every batch (see Feed); costs those that are not followed a comparison or two.

    The publisher's mark in the batch's id decides which are followed, so that it is the same ones everywhere, and slow
    ones are too.
    """

    def __init__(
        self,
        family: Family,
        hub: Hub,
        reactor: Reactor,
        talkers: Talkers,
        delivered: Callable[[float], None],
        clock: LogClock,
        changes: ChangeTraces | None = None,
    ) -> None:
        self._changes = changes
        self._family = family
        self._hub = hub
        self._reactor = reactor
        self._talkers = talkers
        self._delivered = delivered
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._slow = Sampler(SLOW_EVERY, SLOW_PAUSE_SECONDS)
        self._counting = Sampler(COUNT_EVERY, COUNT_SECONDS)

    def __call__(self, batch: Batch, consumed: float) -> Callable[[Callable[[], None]], None] | None:
        """A batch was consumed; what is given is called with the call that writes it to those it concerns."""
        lag = consumed + self._clock.offset - batch.appended
        self._delivered(lag)
        if self._counting.take(consumed):
            for change in batch.changes:
                self._talkers.count(change.account, len(self._hub.connections(change.account)))
        followed = batches.is_traced(batch.id) or (lag >= SLOW_SECONDS and self._slow.take(consumed))
        if not followed or self._family.is_full:
            return None
        trace = self._begin(batch, consumed)
        counters = self._hub.counters

        def follow(tell: Callable[[], None]) -> None:
            if batch.traced and self._changes is not None:
                tell = partial(self._changes.told, batch, consumed, tell)
            matched, pushed = counters.matched, counters.pushed
            tell()
            now = time.monotonic()
            matches, pushes = counters.matched - matched, counters.pushed - pushed
            trace.mark(now, f"matched {matches} connections, wrote {pushes}; {matches - pushes} wait")
            self._follow(trace, self._told(batch, consumed))

        return follow

    def _begin(self, batch: Batch, consumed: float) -> Trace:
        """The life so far, as the publisher's clock has it."""
        offset = -self._clock.offset
        # Of a writer that does not tell, the append is all there is.
        ingested = min(min(change.ingested or batch.appended for change in batch.changes) + offset, consumed)
        trace = self._family.begin(f"batch {batch.id[:4].hex()}, {len(batch.changes)} changes", ingested)
        trace.mark(max(ingested, batch.appended + offset), "appended by the publisher")
        trace.mark(consumed, "consumed")
        return trace

    def _told(self, batch: Batch, consumed: float) -> Connection | None:
        """One that the batch was written to, of those of its first accounts."""
        found: Iterable[Connection] = (
            connection
            for change in islice(batch.changes, 8)
            for connection in islice(self._hub.connections(change.account), 8)
        )
        return next((one for one in found if one.pushed_at >= consumed and one.handler is not CLOSED), None)

    def _follow(self, trace: Trace, connection: Connection | None, looks: int = 0) -> None:
        """Look until the kernel of a client has acknowledged, it is gone, or it has taken too long."""
        now = time.monotonic()
        if connection is None:
            trace.mark(now, "no client here was written to at once")
        elif connection.handler is CLOSED:
            trace.mark(now, "the client whose kernel should have acknowledged is gone")
        elif not self._reactor.unacknowledged(connection):
            away = self._reactor.round_trip(connection) * 1000
            trace.mark(now, f"acknowledged by the kernel of a client, {away:.1f} ms away")
        elif looks < len(PAUSES_SECONDS):
            self._loop.call_later(PAUSES_SECONDS[looks], self._follow, trace, connection, looks + 1)
            return
        else:
            self._family.fail(trace, now, "not acknowledged by the kernel of a client in time")
            return
        self._family.settle(trace, now)
        self._family.end(trace)
