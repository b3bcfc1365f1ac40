"""The publisher: what storages tell, and how the log takes it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from monitoring.dashboards import instances, namespaces
from monitoring.dashboards.processes import broker_panel, process_panels
from monitoring.panels import HALF, page, series
from monitoring.promql import INSTALLATION, Query
from monitoring.promql import PROCESS as HERE

ADMIN_PORT = 9190


def build() -> Dashboard:
    """The dashboard."""
    dashboard = page(
        "tidings-publisher", "Tidings / Publisher", "Ingest, batches, sources.", [namespaces(), instances("publisher")]
    )
    _ingest(dashboard)
    _spool(dashboard)
    _sources(dashboard)
    _imap(dashboard)
    _maildir(dashboard)
    return process_panels(dashboard, "publisher", ADMIN_PORT)


def _ingest(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Ingest"))
        .with_panel(
            series(
                "Requests, by status",
                "202 is taken for good, 503 means that the sender has to come again, 4xx is the sender's mistake.",
                "reqps",
                Query(HERE.rate("tidings_publisher_requests_total", by="status"), "{{status}}"),
            )
        )
        .with_panel(
            series(
                "Changes",
                "Changes that the log confirmed; of those taken, the ones whose own time is over an hour off.",
                "ops",
                Query(HERE.rate("tidings_publisher_changes_total", by="instance"), "{{instance}}"),
                Query(HERE.rate("tidings_publisher_far_times_total", by="instance"), "{{instance}}, wrong time"),
            )
        )
        .with_panel(
            series(
                "Changes that wait",
                "Not yet confirmed. At 50,000 the publisher refuses.",
                "short",
                Query(HERE.total("tidings_publisher_waiting_changes", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Batches, by outcome",
                "retried were appended once more; failed were told so to the sender.",
                "ops",
                Query(HERE.rate("tidings_publisher_batches_total", by="outcome"), "{{outcome}}"),
            )
        )
        .with_panel(
            series(
                "Changes in a batch",
                "Batches grow by themselves while the log is slow.",
                "short",
                *HERE.percentiles("tidings_publisher_batch_changes", "changes", 50, 99),
            )
        )
        .with_panel(
            series(
                "Until the log confirms",
                "From taking a change (ingest), and from handing its batch to the log (append).",
                "s",
                *HERE.percentiles("tidings_ingest_to_confirm_seconds", "ingest", 50, 99),
                *HERE.percentiles("tidings_publisher_append_seconds", "append", 50, 99),
            )
        )
        .with_panel(
            series(
                "Faults",
                "Faults of the publisher's own, each of them logged, and blocking calls refused by a full pool.",
                "ops",
                Query(HERE.rate("tidings_publisher_failures_total", by="part"), "{{part}}"),
                Query(HERE.rate("tidings_pool_rejections_total"), "pool full"),
            )
        )
    )


def _spool(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Spool"))
        .with_panel(
            series(
                "Changes in the spool",
                "Acknowledged and on disk, not in the log yet. More than none for long: the log does not take them.",
                "short",
                Query(HERE.total("tidings_spool_changes", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Full to",
                "Of --spool-bytes. Once full, storages are refused.",
                "percentunit",
                Query(
                    f"{HERE.select('tidings_spool_bytes')} / {HERE.select('tidings_spool_capacity_bytes')}",
                    "{{instance}}",
                ),
            )
        )
        .with_panel(
            series(
                "Oldest change",
                "How long it has waited.",
                "s",
                Query(HERE.select("tidings_spool_oldest_seconds"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "In and out",
                "Changes stored, handed over to the log, and refused by reason; and times that the file failed.",
                "ops",
                Query(HERE.rate("tidings_spool_stored_changes_total"), "stored"),
                Query(HERE.rate("tidings_spool_drained_changes_total"), "handed over"),
                Query(HERE.rate("tidings_spool_refused_changes_total", by="reason"), "refused: {{reason}}"),
                Query(HERE.rate("tidings_spool_failures_total"), "failures"),
                width=HALF,
            )
        )
        .with_panel(broker_panel(width=HALF))
    )


def _sources(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Sources"))
        .with_panel(
            series(
                "Changes, by source",
                "Changes that were found, and are safe in log or spool.",
                "ops",
                Query(HERE.rate("tidings_source_events_total", by="source"), "{{source}}"),
            )
        )
        .with_panel(
            series(
                "Connected",
                "1: the source reaches what it watches. With several publishers, of each.",
                "short",
                Query(HERE.select("tidings_source_connected"), "{{source}}, {{instance}}"),
            )
        )
        .with_panel(
            series(
                "Behind by",
                "How long the oldest change of each source has waited.",
                "s",
                Query(HERE.select("tidings_source_lag_seconds"), "{{source}}, {{instance}}"),
            )
        )
        .with_panel(
            series(
                "Gaps",
                "Times that a source may have missed something, and clients were told to look, by reason.",
                "ops",
                Query(HERE.rate("tidings_source_gaps_total", by="source, reason"), "{{source}}: {{reason}}"),
                width=HALF,
            )
        )
        .with_panel(
            series(
                "Logins without an account",
                "Changes that --account-map has no account for: dropped by sources, refused over HTTP.",
                "ops",
                Query(HERE.rate("tidings_source_unmapped_total", by="source"), "{{source}}"),
                width=HALF,
            )
        )
    )


def _imap(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("IMAP"))
        .with_panel(
            series(
                "Accounts",
                "Those that --imap-accounts names, and those that are listened to.",
                "short",
                Query(HERE.total("tidings_publisher_imap_accounts"), "named"),
                Query(HERE.total("tidings_publisher_imap_connections"), "listened to"),
                width=HALF,
            )
        )
        .with_panel(
            series(
                "Failures",
                "Connections that were not made or ended, by reason, and changes that the server did not tell of.",
                "ops",
                Query(HERE.rate("tidings_publisher_imap_failures_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_publisher_imap_untold_total"), "not told of"),
                width=HALF,
            )
        )
    )


def _maildir(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Maildirs"))
        .with_panel(
            series(
                "Announced, by event",
                "Changes that the Maildir source announced.",
                "ops",
                Query(HERE.rate("tidings_publisher_maildir_changes_total", by="event"), "{{event}}"),
            )
        )
        .with_panel(
            series(
                "Announced by webmails, by outcome",
                "Changes that the webmails of the installation told a publisher of. One that failed is made up for "
                "by the account's next.",
                "ops",
                Query(INSTALLATION.rate("tidings_webmail_announcements_total", by="outcome"), "{{outcome}}"),
            )
        )
        .with_panel(
            series(
                "Watches",
                "Directories watched, and mail folders that are polled because the kernel allows no further watch.",
                "short",
                Query(HERE.total("tidings_publisher_maildir_watches"), "watched"),
                Query(HERE.total("tidings_publisher_maildir_unwatched"), "polled"),
            )
        )
        .with_panel(
            series(
                "Comparisons",
                "Of the whole tree by reason, and announcements that failed and were kept for later.",
                "ops",
                Query(HERE.rate("tidings_publisher_maildir_rescans_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_publisher_maildir_retries_total"), "retries"),
            )
        )
        .with_panel(
            series(
                "Time to compare a folder",
                "With its snapshot.",
                "s",
                *HERE.percentiles("tidings_publisher_maildir_scan_seconds", "compare", 50, 99),
            )
        )
    )
