"""Spans of traced changes in this gateway: how they came through the log, and the first write to a client.

Which are traced the publisher has decided, and says in the batch (wire/batch.py). What is traced costs nothing of the
path that the others take: only batches that are followed come here, and the write is looked for afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from structlog.contextvars import bound_contextvars

from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.connection import Connection
from tidings.gateway.watching.metrics import GatewayMetrics
from tidings.ops.tracing.spans import Span, Tracer
from tidings.wire.batch import Batch
from tidings.wire.change import Change
from tidings.wire.tracecontext import trace_id

PAUSES_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.05, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0)
"""Between looks for a write that did not happen at once. After the last it counts as none: a client that cannot take
anything is told later, and of more than this change."""
MAX_LOOKED_AT: Final = 64
"""Connections of an account among which the first write is looked for."""
MAX_WAITING: Final = 1_000
"""Changes whose first write is looked for at the same time. Of more, there is no such span."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    change: Change
    connections: Sequence[Connection]
    consumed: float
    span: Span


class ChangeTraces:
    """Tells of changes that somebody is connected for here."""

    def __init__(self, tracer: Tracer, hub: Hub, metrics: GatewayMetrics, clock: LogClock) -> None:
        self._tracer = tracer
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting = 0

    def told(self, batch: Batch, consumed: float, tell: Callable[[], None]) -> None:
        """Have a batch with traced changes told to those whom it concerns. It was consumed at this monotonic time."""
        concerned: list[tuple[Change, bytes, list[Connection]]] = []
        for traced in batch.traced:
            # Of another writer than our publishers.
            if traced.index < len(batch.changes):
                change = batch.changes[traced.index]
                # Before they are told: whoever polls is gone afterwards.
                connections = [*islice(self._hub.connections(change.account), MAX_LOOKED_AT)]
                if connections:
                    concerned.append((change, traced.context, connections))
        if not concerned:
            tell()
            return
        with bound_contextvars(trace_id=trace_id(concerned[0][1])):
            tell()
        came = consumed + self._clock.offset
        for change, context, connections in concerned:
            feed = self._tracer.begin("feed", "consumer", context, min(batch.appended, came), {})
            feed.end(came)
            self._metrics.show_consumed(came - batch.appended, trace_id(context), came)
            if self._waiting < MAX_WAITING:
                span = self._tracer.begin(
                    "write", "producer", feed.context, came, {"tidings.clients": len(connections)}
                )
                self._waiting += 1
                self._look(_Waiting(change, connections, consumed, span), 0)

    def _look(self, waiting: _Waiting, looks: int) -> None:
        written = [one.pushed_at for one in waiting.connections if one.pushed_at >= waiting.consumed]
        if written:
            self._written(waiting, min(written))
        elif looks < len(PAUSES_SECONDS):
            self._loop.call_later(PAUSES_SECONDS[looks], self._look, waiting, looks + 1)
            return
        else:
            waiting.span.end(
                waiting.consumed + sum(PAUSES_SECONDS) + self._clock.offset, "no client was written to", failed=True
            )
        self._waiting -= 1

    def _written(self, waiting: _Waiting, at: float) -> None:
        wall, change = at + self._clock.offset, waiting.change
        waiting.span.end(wall)
        since_change = None if change.time is None else wall - change.time
        self._metrics.show_written(at - waiting.consumed, since_change, trace_id(waiting.span.context), wall)
