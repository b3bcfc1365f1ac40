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
        "tidings-publisher", "Tidings / Publisher", "Ingest, spool and sources.", [namespaces(), instances("publisher")]
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
                "202: the changes are safe. 503: the sender must try again. 4xx: an error of the sender.",
                "reqps",
                Query(HERE.rate("tidings_publisher_requests_total", by="status"), "{{status}}"),
            )
        )
        .with_panel(
            series(
                "Changes",
                "Changes that the log confirmed, and changes whose time, as the sender gives it, is wrong by over an "
                "hour.",
                "ops",
                Query(HERE.rate("tidings_publisher_changes_total", by="instance"), "{{instance}}"),
                Query(HERE.rate("tidings_publisher_far_times_total", by="instance"), "{{instance}}, wrong time"),
            )
        )
        .with_panel(
            series(
                "Changes that wait",
                "Changes that the log has not confirmed yet. At 50,000, the publisher refuses new ones.",
                "short",
                Query(HERE.total("tidings_publisher_waiting_changes", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Batches, by outcome",
                "retried: batches appended once more. failed: batches whose senders got an error.",
                "ops",
                Query(HERE.rate("tidings_publisher_batches_total", by="outcome"), "{{outcome}}"),
            )
        )
        .with_panel(
            series(
                "Changes in a batch",
                "Batches grow while the log is slow.",
                "short",
                *HERE.percentiles("tidings_publisher_batch_changes", "changes", 50, 99),
            )
        )
        .with_panel(
            series(
                "Time to the confirm",
                "Time to the log's confirm: from the request (ingest), and from appending the batch (append).",
                "s",
                *HERE.percentiles("tidings_ingest_to_confirm_seconds", "ingest", 50, 99),
                *HERE.percentiles("tidings_publisher_append_seconds", "append", 50, 99),
            )
        )
        .with_panel(
            series(
                "Errors",
                "Errors in the publisher, which are all logged, and blocking calls that a full thread pool refused.",
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
                "Acknowledged changes on disk that are not in the log yet. If they stay, the log does not take them.",
                "short",
                Query(HERE.total("tidings_spool_changes", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Spool used",
                "Share of --spool-bytes. When the spool is full, the publisher refuses changes.",
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
                "How long the oldest change in the spool has waited.",
                "s",
                Query(HERE.select("tidings_spool_oldest_seconds"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "In and out",
                "Changes stored in the spool, appended to the log, and refused (by reason), and failures of the "
                "spool's file.",
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
                "Changes from each source that are safe in log or spool.",
                "ops",
                Query(HERE.rate("tidings_source_events_total", by="source"), "{{source}}"),
            )
        )
        .with_panel(
            series(
                "Connected",
                "1: the publisher is connected to the source. Each publisher has a line.",
                "short",
                Query(HERE.select("tidings_source_connected"), "{{source}}, {{instance}}"),
            )
        )
        .with_panel(
            series(
                "Delay",
                "How long the oldest change of each source has waited.",
                "s",
                Query(HERE.select("tidings_source_lag_seconds"), "{{source}}, {{instance}}"),
            )
        )
        .with_panel(
            series(
                "Gaps",
                "Times that a source may have missed changes and told clients to fetch everything, by reason.",
                "ops",
                Query(HERE.rate("tidings_source_gaps_total", by="source, reason"), "{{source}}: {{reason}}"),
                width=HALF,
            )
        )
        .with_panel(
            series(
                "Logins without an account",
                "Changes whose login has no account in --account-map. Sources drop them, and ingest over HTTP refuses "
                "them.",
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
                "Accounts in --imap-accounts, and accounts that have a connection.",
                "short",
                Query(HERE.total("tidings_publisher_imap_accounts"), "named"),
                Query(HERE.total("tidings_publisher_imap_connections"), "connected"),
                width=HALF,
            )
        )
        .with_panel(
            series(
                "Failures",
                "Connections that failed or ended, by reason, and changes that the server did not announce.",
                "ops",
                Query(HERE.rate("tidings_publisher_imap_failures_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_publisher_imap_untold_total"), "not announced"),
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
                "Changes that the webmails of the installation sent to a publisher. After a failure, the account's "
                "next announcement covers both changes.",
                "ops",
                Query(INSTALLATION.rate("tidings_webmail_announcements_total", by="outcome"), "{{outcome}}"),
            )
        )
        .with_panel(
            series(
                "Watches",
                "Directories watched, and mail folders that are polled because the kernel's limit of watches is "
                "reached.",
                "short",
                Query(HERE.total("tidings_publisher_maildir_watches"), "watched"),
                Query(HERE.total("tidings_publisher_maildir_unwatched"), "polled"),
            )
        )
        .with_panel(
            series(
                "Comparisons",
                "Comparisons of the whole tree, by reason, and failed announcements that are tried again (retries).",
                "ops",
                Query(HERE.rate("tidings_publisher_maildir_rescans_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_publisher_maildir_retries_total"), "retries"),
            )
        )
        .with_panel(
            series(
                "Time to compare a folder",
                "Time to compare a mail folder with its snapshot.",
                "s",
                *HERE.percentiles("tidings_publisher_maildir_scan_seconds", "compare", 50, 99),
            )
        )
    )
