"""All who watch connections, as the one witness of their lives."""

from __future__ import annotations

from collections.abc import Sequence

from tidings.gateway.model.changes import Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import Pending
from tidings.gateway.watching.connection_traces import ConnectionTraces
from tidings.gateway.watching.journal import Journal
from tidings.gateway.watching.metrics import GatewayMetrics


class Witnesses:
    """Tells each of what it keeps: the metrics latencies, the journal accounts, the traces those they follow.

    What only one of them keeps it hears itself.
    """

    def __init__(self, metrics: GatewayMetrics, journal: Journal, traces: ConnectionTraces) -> None:
        self._metrics = metrics
        self._journal = journal
        self._traces = traces
        self.merged = journal.merged
        self.resumed = journal.resumed
        self.accepted = traces.accepted
        self.reached = traces.reached
        self.routed = traces.routed
        self.handed_over = traces.handed_over
        self.rejected = traces.rejected
        self.subscribed = traces.subscribed

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        self._journal.written(connections, now, pending)
        self._metrics.written(connections, now, pending)

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        self._journal.written_each(connections, now)
        self._metrics.written_each(now, told, consumed)

    def closed(self, connection: Connection, reason: str, wire_format: str = "") -> None:
        """See Witness. Who was never parked is in no account's journal."""
        if wire_format:
            self._journal.closed(connection, wire_format, reason)
        self._traces.closed(connection, reason)
