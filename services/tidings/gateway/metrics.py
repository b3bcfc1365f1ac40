"""The gateway's metrics: what is counted, under which name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict

from prometheus_client import CollectorRegistry

from tidings.gateway.connection import Connection
from tidings.gateway.feed import FeedCounters
from tidings.gateway.front import Front
from tidings.gateway.handover import HandOver
from tidings.gateway.parked import POLL_SECONDS, Lot
from tidings.gateway.pending import Pending
from tidings.gateway.subscriptions import Subscriptions
from tidings.gateway.told import Told
from tidings.ops.metrics import HotMetrics, PlainHistogram


class GatewayMetrics:
    """Told of latencies as they happen; reads everything else where it is counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = HotMetrics(registry)
        self._skewed = 0
        self._append_to_consume = self._histogram(
            "tidings_append_to_consume_seconds",
            "From handing a batch to the log to consuming it (confirm included)",
        )
        self._consume_to_write = self._histogram(
            "tidings_consume_to_write_seconds",
            "From consuming a change to writing it to a client, coalescing included",
        )
        self._change_to_write = self._histogram(
            "tidings_change_to_write_seconds", "From a change's own time to writing it to a client"
        )
        self._metrics.counter(
            "tidings_clock_skew", "Latencies that came out negative and counted as 0", lambda: self._skewed
        )

    def _histogram(self, name: str, help_text: str) -> PlainHistogram:
        plain = PlainHistogram()
        self._metrics.histogram(name, help_text, plain)
        return plain

    def delivered(self, seconds: float) -> None:
        """A batch was consumed so long after its writer handed it to the log."""
        self._observe(self._append_to_consume, seconds, 1)

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        """See outbox.Observer."""
        count = len(connections)
        self._observe(self._consume_to_write, now - pending.consumed, count)
        if pending.changed_at is not None:
            self._observe(self._change_to_write, now - pending.changed_at, count)

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        """See outbox.Observer."""
        self._observe(self._consume_to_write, now - consumed, len(told))
        for _, _, changed_at in told:
            if changed_at is not None:
                self._observe(self._change_to_write, now - changed_at, 1)

    def merged(self, connection: Connection, account: str, count: int) -> None:
        """The hub counts these itself."""

    def _observe(self, plain: PlainHistogram, seconds: float, count: int) -> None:
        if seconds < 0:
            self._skewed += 1
            seconds = 0.0
        plain.observe(seconds, count)

    def watch(self, lot: Lot, front: Front, feeds: FeedCounters, hand_over: HandOver) -> None:
        """Expose what these count."""
        metrics = self._metrics
        gauge, counter, labelled = metrics.gauge, metrics.counter, metrics.labelled_counter
        reactor, hub, subscriptions, parked = lot.reactor, lot.hub, lot.subscriptions, lot.counters
        gauge(
            "tidings_sockets_open",
            "Client sockets in the parking lot, in whatever phase",
            lambda: len(reactor),
        )
        gauge(
            "tidings_token_checks",
            "Requests whose token is being verified, beside the loop",
            lambda: len(front.checking),
        )
        formats = ["format"]
        metrics.labelled_gauge("tidings_connections_open", "Parked connections", formats, lambda: parked.open)
        gauge("tidings_connections_max", "Connections that may be parked", lambda: lot.admission.capacity)
        gauge(
            "tidings_connections_blocked",
            "Client sockets that do not take what is written to them",
            lambda: reactor.blocked,
        )
        gauge("tidings_requests_open", "Requests handed over to the HTTP application", lambda: len(hand_over))
        counter("tidings_accepts", "Connections accepted", lambda: reactor.counters.accepted)
        counter(
            "tidings_accept_pauses",
            "Times accepting paused for lack of files",
            lambda: reactor.counters.accept_pauses,
        )
        counter(
            "tidings_connection_faults",
            "Times a fault of ours ended connections",
            lambda: reactor.counters.faults,
        )
        counter("tidings_sent_bytes", "Bytes written to clients", lambda: reactor.counters.bytes_out)
        counter("tidings_handovers", "Requests handed over", lambda: front.counters.handed_over)
        counter(
            "tidings_head_deadlines",
            "Connections closed because no head came",
            lambda: front.counters.head_deadlines,
        )
        labelled(
            "tidings_rejections",
            "Requests rejected instead of parked",
            ["reason"],
            lambda: front.counters.rejected,
        )
        labelled("tidings_connections_opened", "Connections parked", formats, lambda: parked.opened)
        labelled(
            "tidings_connections_closed",
            "Parked connections closed",
            [*formats, "reason"],
            lambda: parked.closed,
        )
        labelled("tidings_polls_answered", "Polls answered", ["status"], lambda: parked.polls)
        counter(
            "tidings_polls_avoided",
            f"Polls that parked clients would have made, one in {POLL_SECONDS:.0f} s each",
            lambda: parked.parked_seconds() / POLL_SECONDS,
        )
        counter("tidings_messages_received", "Messages from clients", lambda: parked.messages_in)
        counter("tidings_request_errors", "RequestErrors answered", lambda: parked.request_errors)
        counter("tidings_batches_consumed", "Batches consumed, markers included", lambda: feeds.batches)
        counter("tidings_changes_consumed", "Changes consumed", lambda: feeds.changes)
        counter("tidings_markers_consumed", "Markers consumed", lambda: feeds.markers)
        counter("tidings_batches_undecodable", "Log entries that are no batch", lambda: feeds.undecodable)
        counter("tidings_feeds_lost", "Times a live feed stopped delivering", lambda: feeds.lost)
        counter("tidings_feed_gaps", "Times changes of a shard may have been missed", lambda: feeds.gaps)
        gauge("tidings_feeds", "Shards being read", lambda: len(subscriptions.feeds))
        gauge(
            "tidings_feeds_live",
            "Shards being read that deliver",
            lambda: sum(feed.live for feed in tuple(subscriptions.feeds.values())),
        )
        counter("tidings_changes_matched", "Changes times clients they concern", lambda: hub.counters.matched)
        counter("tidings_pushes", "StateChanges pushed that name a change", lambda: hub.counters.pushed)
        counter("tidings_changes_coalesced", "Changes merged into one that waited", lambda: hub.counters.coalesced)
        counter(
            "tidings_pending_overflows",
            "Clients told to resynchronise because too many types waited",
            lambda: hub.counters.overflowed,
        )
        self._watch_resumes(subscriptions)

    def _watch_resumes(self, subscriptions: Subscriptions) -> None:
        metrics, feeds = self._metrics, subscriptions.feeds
        metrics.labelled_gauge(
            "tidings_feed_lag_seconds",
            "From handing its newest batch to the log to consuming it, by shard",
            ["shard"],
            lambda: {str(shard): feed.lag for shard, feed in tuple(feeds.items())},
        )
        metrics.labelled_gauge(
            "tidings_feed_silence_seconds",
            "Since the log last delivered anything, which is the last proof that it does, by shard",
            ["shard"],
            lambda: {str(shard): time.monotonic() - feed.heard_at for shard, feed in tuple(feeds.items())},
        )
        resumes, resyncs = subscriptions.resumes, subscriptions.resyncs
        metrics.labelled_counter(
            "tidings_resumes",
            "Subscriptions by outcome",
            ["outcome"],
            lambda: asdict(resumes.counters),
        )
        metrics.labelled_counter(
            "tidings_resyncs",
            "Clients told to resynchronise",
            ["reason"],
            lambda: {reason.value: count for reason, count in resyncs.told.items()},
        )
        metrics.gauge("tidings_resumes_waiting", "Subscriptions not answered yet", lambda: len(resumes))
        metrics.gauge(
            "tidings_resyncs_waiting", "Clients that wait for their turn to resynchronise", lambda: len(resyncs)
        )
        metrics.gauge("tidings_stream_reads", "Reads of the log for those who come back", lambda: resumes.replays.reads)
