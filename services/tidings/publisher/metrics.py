"""The publisher's metrics: what is counted, under which name."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidings.ops.metrics import LATENCY_SECONDS

BATCH_CHANGES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


class PublisherMetrics:
    """Registered once per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "tidings_publisher_requests", "Ingest requests answered, by HTTP status", ["status"], registry=registry
        )
        self.failures = Counter(
            "tidings_publisher_failures", "Faults of the publisher's own, each logged", ["part"], registry=registry
        )
        self.changes = Counter("tidings_publisher_changes", "Changes that the log confirmed", registry=registry)
        self.batches = Counter(
            "tidings_publisher_batches",
            "Batches by outcome: confirmed, retried (appended once more), failed",
            ["outcome"],
            registry=registry,
        )
        self.batch_changes = Histogram(
            "tidings_publisher_batch_changes", "Changes in a confirmed batch", buckets=BATCH_CHANGES, registry=registry
        )
        self.append_seconds = Histogram(
            "tidings_publisher_append_seconds",
            "From handing a batch to the log to its confirm",
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self.ingest_to_confirm = Histogram(
            "tidings_ingest_to_confirm_seconds",
            "From taking a change to the log's confirm",
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self.waiting = Gauge(
            "tidings_publisher_waiting_changes", "Changes not yet confirmed: queued or on their way", registry=registry
        )
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
