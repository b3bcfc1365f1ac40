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
            "tidings_publisher_failures",
            "Errors in the publisher itself, all of them logged",
            ["part"],
            registry=registry,
        )
        self.waiting: list[Callable[[], int]] = []
        """What each batcher has waiting."""
        waiting = Gauge(
            "tidings_publisher_waiting_changes", "Changes without a confirm: queued or on their way", registry=registry
        )
        waiting.set_function(lambda: sum(count() for count in self.waiting))
        self.maildir_changes = Counter(
            "tidings_publisher_maildir_changes", "Changes announced, by event", ["event"], registry=registry
        )
        self.maildir_rescans = Counter(
            "tidings_publisher_maildir_rescans",
            "Comparisons of the whole tree",
            ["reason"],
            registry=registry,
        )
        self.maildir_retries = Counter(
            "tidings_publisher_maildir_retries", "Announcements that failed and are tried again", registry=registry
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
            "Mail folders that are polled because the kernel allows no more watches",
            registry=registry,
        )
        self.imap_accounts = Gauge("tidings_publisher_imap_accounts", "Accounts in --imap-accounts", registry=registry)
        self.imap_connections = Gauge(
            "tidings_publisher_imap_connections", "Accounts that the publisher listens to over IMAP", registry=registry
        )
        self.imap_failures = Counter(
            "tidings_publisher_imap_failures",
            "IMAP connections that failed or ended: away, login, limit, protocol, unfit",
            ["reason"],
            registry=registry,
        )
        self.imap_untold = Counter(
            "tidings_publisher_imap_untold",
            "Changes of an INBOX that the server did not report, found by comparing",
            registry=registry,
        )

    def _expose(self, hot: HotMetrics) -> None:
        hot.labelled_counter(
            "tidings_publisher_requests", "Answered ingest requests, by HTTP status", ["status"], lambda: self.requests
        )
        hot.labelled_counter(
            "tidings_publisher_batches",
            "Batches: confirmed, retried (appended once more), failed",
            ["outcome"],
            lambda: self.batches,
        )
        hot.counter("tidings_publisher_changes", "Changes that the log confirmed", lambda: self.changes)
        hot.counter(
            "tidings_publisher_far_times",
            "Accepted changes whose own time was more than an hour from this clock. Their latency is not measured",
            lambda: self.far_times,
        )
        hot.histogram("tidings_publisher_batch_changes", "Changes in a confirmed batch", self.batch_changes)
        hot.histogram(
            "tidings_publisher_append_seconds", "Time from appending a batch to its confirm", self.append_seconds
        )
        hot.histogram(
            "tidings_ingest_to_confirm_seconds",
            "Time from a valid request to the log's confirm",
            self.ingest_to_confirm,
        )


class SpoolMetrics:
    """Registered once per process that has a spool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes = Gauge("tidings_spool_changes", "Changes in the spool", registry=registry)
        self.bytes = Gauge("tidings_spool_bytes", "Bytes that count against the spool's limit", registry=registry)
        self.capacity = Gauge("tidings_spool_capacity_bytes", "The spool's limit (--spool-bytes)", registry=registry)
        self.oldest_seconds = Gauge(
            "tidings_spool_oldest_seconds",
            "Age of the oldest change in the spool. 0 while the spool is empty",
            registry=registry,
        )
        self.stored = Counter("tidings_spool_stored_changes", "Changes written to the spool's disk", registry=registry)
        self.drained = Counter(
            "tidings_spool_drained_changes", "Changes from the spool that the log confirmed", registry=registry
        )
        self.refused = Counter(
            "tidings_spool_refused_changes",
            "Changes that the spool refused: full, or failed (the file cannot be written)",
            ["reason"],
            registry=registry,
        )
        self.failures = Counter(
            "tidings_spool_failures", "Failed reads and writes of the spool's file", registry=registry
        )
