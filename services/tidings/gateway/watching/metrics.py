"""The gateway's metrics: what is counted, under which name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from tidings.gateway.entrance.arrivals import Arrivals
from tidings.gateway.entrance.front import Front
from tidings.gateway.entrance.handover import HandOver
from tidings.gateway.feeds.feed import FeedCounters
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.pool import Feed
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.formats.counters import POLL_SECONDS
from tidings.gateway.formats.parked import Lot
from tidings.gateway.model.changes import Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import Pending
from tidings.gateway.subscriptions import Subscriptions
from tidings.ops.metrics import HotMetrics, PlainHistogram, added

if TYPE_CHECKING:
    from tidings.gateway.upstream.server import Upstream

FAR_SECONDS: Final = 3600.0
"""A difference between two clocks beyond this measures nothing: the log keeps an hour, and pushes take milliseconds."""


def furthest(one: float, other: float) -> float:
    """The one that is further from 0: all workers go by one clock, and one that has not measured takes it for right."""
    return max(one, other, key=abs)


class GatewayMetrics:
    """Told of latencies as they happen; reads everything else where it is counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = HotMetrics(registry)
        self._skewed = 0
        self._append_to_consume = self._histogram(
            "tidings_append_to_consume_seconds",
            "Time from appending a batch to reading it, confirm included",
        )
        self._consume_to_write = self._histogram(
            "tidings_consume_to_write_seconds",
            "Time from reading a change to writing it to a client, coalescing included",
        )
        self._change_to_write = self._histogram(
            "tidings_change_to_write_seconds",
            "Time from the change, as the storage gives it, to writing it to a client",
        )
        self._metrics.counter(
            "tidings_clock_skew",
            "Latencies that were negative (counted as 0), or more than an hour off (not counted)",
            lambda: self._skewed,
        )

    def _histogram(self, name: str, help_text: str) -> PlainHistogram:
        plain = PlainHistogram()
        self._metrics.histogram(name, help_text, plain)
        return plain

    def delivered(self, seconds: float) -> None:
        """A batch was consumed so long after its writer handed it to the log."""
        self._observe(self._append_to_consume, seconds, 1)

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        count = len(connections)
        self._consume_to_write.observe(max(0.0, now - pending.consumed), count)
        if pending.changed_at is not None:
            self._observe(self._change_to_write, now - pending.changed_at, count)

    def written_each(self, now: float, told: Sequence[Told], consumed: float) -> None:
        """Somebody was told at `now` of each of these changes, all consumed at the same time."""
        self._consume_to_write.observe(max(0.0, now - consumed), len(told))
        for _, _, changed_at in told:
            if changed_at is not None:
                self._observe(self._change_to_write, now - changed_at, 1)

    def show_consumed(self, append_to_consume: float, trace_id: str, at: float) -> None:
        """A batch that `delivered` heard of is part of a trace; `at` is in Unix seconds."""
        if 0 <= append_to_consume <= FAR_SECONDS:
            self._append_to_consume.show(append_to_consume, trace_id, at)

    def show_written(self, consume_to_write: float, change_to_write: float | None, trace_id: str, at: float) -> None:
        """So is a change that a client was told of; `change_to_write` is None where its storage does not say."""
        self._consume_to_write.show(consume_to_write, trace_id, at)
        if change_to_write is not None and 0 <= change_to_write <= FAR_SECONDS:
            self._change_to_write.show(change_to_write, trace_id, at)

    def _observe(self, plain: PlainHistogram, seconds: float, count: int) -> None:
        """Take a difference between two clocks, of which either may be wrong."""
        if not 0 <= seconds <= FAR_SECONDS:
            self._skewed += 1
            if not -FAR_SECONDS <= seconds < 0:
                return
            seconds = 0.0
        plain.observe(seconds, count)

    def watch_feeds(self, windows: Windows, clock: LogClock, feeds: Callable[[], Mapping[int, Feed]]) -> None:
        """Expose what becomes of windows, how far the clocks are apart, and how late each feed is.

        Before the service starts: from what is composed the admin process learns which gauges are not added up.
        """
        self._metrics.counter(
            "tidings_windows_cut",
            "Parts of windows dropped early because the window was full",
            lambda: windows.cut,
        )
        self._metrics.gauge(
            "tidings_clock_skew_seconds",
            "How far this clock is ahead of the log's. Negative: behind. Exact to 2 s",
            lambda: clock.ahead,
            merged=furthest,
        )
        # Each worker has feeds of its own: what matters is the worst.
        self._metrics.labelled_gauge(
            "tidings_feed_lag_seconds",
            "Time from appending the newest batch to reading it",
            ["shard"],
            lambda: {str(shard): feed.lag for shard, feed in tuple(feeds().items())},
            merged=max,
        )
        self._metrics.labelled_gauge(
            "tidings_feed_silence_seconds",
            "Time since the log last delivered anything",
            ["shard"],
            lambda: {str(shard): feed.silence for shard, feed in tuple(feeds().items())},
            merged=max,
        )

    def watch_upstream(self, upstream: Upstream) -> None:
        """Expose what is asked of the JMAP server."""
        self._metrics.labelled_counter(
            "tidings_jmap_upstream_requests",
            "Requests to the JMAP server: sessions and API calls",
            ["kind", "outcome"],
            lambda: upstream.asked,
        )
        self._metrics.gauge(
            "tidings_jmap_upstream_requests_open",
            "Requests to the JMAP server without an answer yet",
            lambda: upstream.running,
            merged=added,
        )

    def watch(
        self,
        lot: Lot,
        subscriptions: Subscriptions,
        front: Front,
        arrivals: Arrivals,
        feeds: FeedCounters,
        hand_over: HandOver,
    ) -> None:
        metrics = self._metrics
        gauge, counter, labelled = metrics.gauge, metrics.counter, metrics.labelled_counter
        reactor, hub, parked = lot.reactor, lot.hub, lot.counters
        gauge(
            "tidings_sockets_open",
            "Client sockets in all phases",
            lambda: len(reactor),
            merged=added,
        )
        gauge(
            "tidings_token_checks",
            "Requests whose token is being verified in the thread pool",
            lambda: len(front.checking),
            merged=added,
        )
        formats = ["format"]
        metrics.labelled_gauge(
            "tidings_connections_open", "Parked connections, by wire format", formats, lambda: parked.open, merged=added
        )
        gauge("tidings_connections_max", "Connections that may be parked", lambda: lot.admission.capacity, merged=added)
        gauge(
            "tidings_connections_blocked",
            "Client sockets that are blocked because the client does not read",
            lambda: reactor.blocked,
            merged=added,
        )
        gauge(
            "tidings_requests_open",
            "Requests that the HTTP application is answering",
            lambda: len(hand_over),
            merged=added,
        )
        counter("tidings_accepts", "Connections accepted", lambda: reactor.counters.accepted)
        counter(
            "tidings_accept_pauses",
            "Pauses of accepting because the process had no open files left",
            lambda: reactor.counters.accept_pauses,
        )
        counter(
            "tidings_connection_faults",
            "Times that an error in the gateway itself ended connections",
            lambda: reactor.counters.faults,
        )
        counter("tidings_sent_bytes", "Bytes written to clients", lambda: reactor.counters.bytes_out)
        counter("tidings_handovers", "Requests handed over to the HTTP application", lambda: front.counters.handed_over)
        counter(
            "tidings_head_deadlines",
            "Connections closed because no request head came in time",
            lambda: front.counters.head_deadlines,
        )
        gauge(
            "tidings_lobby",
            "Client sockets that are not parked: heads, tokens being verified, closing connections",
            lambda: len(lot.lobby),
            merged=added,
        )
        labelled(
            "tidings_sockets_shed",
            "Sockets that were not parked, closed without an answer because there was no room",
            ["reason"],
            lambda: arrivals.shed,
        )
        counter(
            "tidings_forwarded_unreadable",
            "Clients of trusted proxies whose forwarded address was unreadable. Such clients count as their proxy",
            lambda: front.counters.unreadable_addresses,
        )
        labelled("tidings_connections_opened", "Connections parked", formats, lambda: parked.opened)
        labelled(
            "tidings_connections_closed",
            "Parked connections closed",
            [*formats, "reason"],
            lambda: parked.closed,
        )
        labelled("tidings_polls_answered", "Answered polls, by HTTP status", ["status"], lambda: parked.polls)
        counter(
            "tidings_polls_avoided",
            "Polls that the parked clients would have made, at one in 30 s each",
            lambda: parked.parked_seconds() / POLL_SECONDS,
        )
        counter("tidings_messages_received", "Messages from clients", lambda: parked.messages_in)
        counter("tidings_request_errors", "RequestError answers", lambda: parked.request_errors)
        counter("tidings_batches_consumed", "Batches read, markers included", lambda: feeds.batches)
        counter("tidings_changes_consumed", "Changes read", lambda: feeds.changes)
        counter("tidings_markers_consumed", "Markers read", lambda: feeds.markers)
        counter("tidings_batches_undecodable", "Log entries that are not a batch", lambda: feeds.undecodable)
        counter("tidings_feeds_lost", "Times that a live feed stopped delivering", lambda: feeds.lost)
        counter("tidings_feed_gaps", "Times that changes of a shard may have been missed", lambda: feeds.gaps)
        gauge("tidings_feeds", "Shards that the gateway reads", lambda: len(subscriptions.feeds), merged=added)
        gauge(
            "tidings_feeds_live",
            "Shards whose feed is live",
            lambda: sum(feed.live for feed in tuple(subscriptions.feeds.values())),
            merged=added,
        )
        counter(
            "tidings_changes_matched",
            "Changes multiplied by the clients that they concern",
            lambda: hub.counters.matched,
        )
        counter("tidings_pushes", "StateChange messages that name a change", lambda: hub.counters.pushed)
        counter("tidings_changes_coalesced", "Changes merged into a pending one", lambda: hub.counters.coalesced)
        counter(
            "tidings_pending_overflows",
            "Clients asked to resynchronise because too many types were pending",
            lambda: hub.counters.overflowed,
        )
        self._watch_resumes(subscriptions)

    def _watch_resumes(self, subscriptions: Subscriptions) -> None:
        metrics = self._metrics
        resumes, resyncs = subscriptions.resumes, subscriptions.resyncs
        metrics.labelled_counter(
            "tidings_resumes",
            "Subscriptions: fresh, nothing_missed, replayed_window, replayed_stream, resync",
            ["outcome"],
            lambda: asdict(resumes.counters),
        )
        metrics.labelled_counter(
            "tidings_resyncs",
            "Clients asked to resynchronise: expired, unknown, mismatch, gap, source",
            ["reason"],
            lambda: {reason.value: count for reason, count in resyncs.told.items()},
        )
        metrics.gauge(
            "tidings_resumes_waiting", "Subscriptions without an answer yet", lambda: len(resumes), merged=added
        )
        metrics.gauge(
            "tidings_resumes_paced",
            "Subscriptions that wait because their account or connection has used up its lookups",
            lambda: len(resumes.toll),
            merged=added,
        )
        metrics.counter(
            "tidings_cursor_proofs",
            "Markers appended because a cursor was newer than everything read",
            lambda: resumes.proofs.begun,
        )
        metrics.gauge(
            "tidings_resyncs_waiting",
            "Clients that wait for their turn to resynchronise",
            lambda: len(resyncs),
            merged=added,
        )
        metrics.gauge(
            "tidings_stream_reads",
            "Reads of the log for clients that come back",
            lambda: resumes.replays.reads,
            merged=added,
        )
