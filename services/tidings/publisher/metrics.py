"""The publisher's metrics: what is counted, under which name."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidings.ops.metrics import LATENCY_SECONDS, HotMetrics, PlainHistogram

BATCH_CHANGES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0)


class PublisherMetrics:
    """Registered once per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests: Counts[str] = Counts()
        """By HTTP status."""
        self.batches: Counts[str] = Counts()
        """By outcome."""
        self.changes = 0
        self.far_times = 0
        self.batch_changes = PlainHistogram(BATCH_CHANGES)
        self.append_seconds = PlainHistogram()
        self.ingest_to_confirm = PlainHistogram()
        self._expose(HotMetrics(registry))
        self.failures = Counter(
            "tidings_publisher_failures", "Faults of the publisher's own, each logged", ["part"], registry=registry
        )
        self.waiting: list[Callable[[], int]] = []
        """What each batcher has waiting."""
        waiting = Gauge(
            "tidings_publisher_waiting_changes", "Changes not yet confirmed: queued or on their way", registry=registry
        )
        waiting.set_function(lambda: sum(count() for count in self.waiting))
        self.maildir_changes = Counter(
            "tidings_publisher_maildir_changes", "Changes announced, by event", ["event"], registry=registry
        )
        self.maildir_rescans = Counter(
            "tidings_publisher_maildir_rescans",
            "Comparisons of the whole tree, by reason",
            ["reason"],
            registry=registry,
        )
        self.maildir_retries = Counter(
            "tidings_publisher_maildir_retries", "Announcements that failed and were kept for later", registry=registry
        )
        self.maildir_scan_seconds = Histogram(
            "tidings_publisher_maildir_scan_seconds",
            "Time to compare one mail folder with the snapshot",
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self.maildir_watches = Gauge(
            "tidings_publisher_maildir_watches", "Directories watched with inotify", registry=registry
        )
        self.maildir_unwatched = Gauge(
            "tidings_publisher_maildir_unwatched",
            "Mail folders that are polled because the kernel allows no further watch",
            registry=registry,
        )
        self.imap_accounts = Gauge(
            "tidings_publisher_imap_accounts", "Accounts that --imap-accounts names", registry=registry
        )
        self.imap_connections = Gauge(
            "tidings_publisher_imap_connections", "Accounts that are listened to over IMAP", registry=registry
        )
        self.imap_failures = Counter(
            "tidings_publisher_imap_failures",
            "IMAP connections that were not made or ended, by reason: away, login, limit, protocol, unfit",
            ["reason"],
            registry=registry,
        )
        self.imap_untold = Counter(
            "tidings_publisher_imap_untold",
            "Changes of an INBOX that the IMAP server did not tell of, and that were found by comparing",
            registry=registry,
        )

    def _expose(self, hot: HotMetrics) -> None:
        hot.labelled_counter(
            "tidings_publisher_requests", "Ingest requests answered, by HTTP status", ["status"], lambda: self.requests
        )
        hot.labelled_counter(
            "tidings_publisher_batches",
            "Batches by outcome: confirmed, retried (appended once more), failed",
            ["outcome"],
            lambda: self.batches,
        )
        hot.counter("tidings_publisher_changes", "Changes that the log confirmed", lambda: self.changes)
        hot.counter(
            "tidings_publisher_far_times",
            "Changes taken whose own time was over an hour away from this clock, and measures nothing",
            lambda: self.far_times,
        )
        hot.histogram("tidings_publisher_batch_changes", "Changes in a confirmed batch", self.batch_changes)
        hot.histogram(
            "tidings_publisher_append_seconds", "From handing a batch to the log to its confirm", self.append_seconds
        )
        hot.histogram(
            "tidings_ingest_to_confirm_seconds",
            "From taking a change, its request read and found valid, to the log's confirm",
            self.ingest_to_confirm,
        )


class SpoolMetrics:
    """Registered once per process that has a spool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes = Gauge("tidings_spool_changes", "Changes in the spool", registry=registry)
        self.bytes = Gauge("tidings_spool_bytes", "Bytes that count against the spool's bound", registry=registry)
        self.capacity = Gauge("tidings_spool_capacity_bytes", "The spool's bound (--spool-bytes)", registry=registry)
        self.oldest_seconds = Gauge(
            "tidings_spool_oldest_seconds",
            "How long the oldest change in the spool has been there; 0 when it is empty",
            registry=registry,
        )
        self.stored = Counter(
            "tidings_spool_stored_changes", "Changes put into the spool and on disk", registry=registry
        )
        self.drained = Counter(
            "tidings_spool_drained_changes", "Changes out of the spool that the log confirmed", registry=registry
        )
        self.refused = Counter(
            "tidings_spool_refused_changes",
            "Changes that the spool did not take, by reason: full, failed (the file cannot be written)",
            ["reason"],
            registry=registry,
        )
        self.failures = Counter(
            "tidings_spool_failures", "Times that the spool's file could not be read or written", registry=registry
        )
