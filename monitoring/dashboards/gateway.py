"""The gateway: who is connected, what is pushed, what those who return missed."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from monitoring.dashboards import instances, namespaces
from monitoring.dashboards.processes import broker_panel, process_panels
from monitoring.panels import page, series
from monitoring.promql import PROCESS as HERE
from monitoring.promql import Query

ADMIN_PORT = 9090


def build() -> Dashboard:
    """The dashboard."""
    dashboard = page(
        "tidings-gateway",
        "Tidings / Gateway",
        "Connections, pushes, resumes and feeds.",
        [namespaces(), instances("gateway")],
    )
    _connections(dashboard)
    _pushes(dashboard)
    _feeds(dashboard)
    process_panels(dashboard, "gateway", ADMIN_PORT)
    return dashboard.with_panel(
        series(
            "Workers",
            "Of a gateway with several: those that answer, and those that were replaced, per second.",
            "short",
            Query(HERE.total("tidings_worker_up", by="instance"), "{{instance}} up"),
            Query(HERE.rate("tidings_worker_restarts_total", by="worker"), "{{worker}} replaced"),
            Query(HERE.rate("tidings_worker_unanswered_total", by="worker"), "{{worker}} did not answer"),
        )
    )


def _connections(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Connections"))
        .with_panel(
            series(
                "Parked, by process",
                "Parked connections, and how many each process may park.",
                "short",
                Query(HERE.total("tidings_connections_open", by="instance"), "{{instance}}"),
                Query(HERE.select("tidings_connections_max"), "{{instance}} at most"),
            )
        )
        .with_panel(
            series(
                "Opened, by wire format",
                "Connections accepted, those parked, and requests handed over to the HTTP application.",
                "cps",
                Query(HERE.rate("tidings_accepts_total"), "accepted"),
                Query(HERE.rate("tidings_connections_opened_total", by="format"), "{{format}}"),
                Query(HERE.rate("tidings_handovers_total"), "handed over"),
            )
        )
        .with_panel(
            series(
                "Closed, by reason",
                "Parked connections closed per second.",
                "cps",
                Query(HERE.rate("tidings_connections_closed_total", by="format, reason"), "{{format}} {{reason}}"),
            )
        )
        .with_panel(
            series(
                "Sockets",
                "Client sockets in whatever phase, those not parked, those that do not take what is written to "
                "them, requests handed over to the HTTP application, and those whose token is being verified.",
                "short",
                Query(HERE.total("tidings_sockets_open"), "sockets"),
                Query(HERE.total("tidings_lobby"), "not parked"),
                Query(HERE.total("tidings_connections_blocked"), "blocked"),
                Query(HERE.total("tidings_requests_open"), "handed over"),
                Query(HERE.total("tidings_token_checks"), "token being verified"),
            )
        )
        .with_panel(
            series(
                "Turned away, by reason",
                "Requests of clients that were refused, sockets closed without an answer for lack of room, clients "
                "whose proxy wrote no address of them, times that accepting paused for lack of files, and faults of "
                "the gateway's own with a connection, which it closed.",
                "reqps",
                Query(HERE.rate("tidings_rejections_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_head_deadlines_total"), "no head in time"),
                Query(HERE.rate("tidings_sockets_shed_total", by="reason"), "no room: {{reason}}"),
                Query(HERE.rate("tidings_forwarded_unreadable_total"), "address not readable"),
                Query(HERE.rate("tidings_accept_pauses_total"), "accepting paused"),
                Query(HERE.rate("tidings_connection_faults_total"), "fault"),
            )
        )
        .with_panel(
            series(
                "Keys for tokens",
                "With --jwks-url: the keys that tokens are verified with, and fetches of the set by outcome, a second. "
                "A set that cannot be fetched is kept, until tokens are signed with a newer key.",
                "short",
                Query(HERE.select("tidings_jwks_keys"), "{{instance}} keys"),
                Query(HERE.rate("tidings_jwks_fetches_total", by="outcome"), "{{outcome}} fetches"),
            )
        )
        .with_panel(
            series(
                "JMAP server",
                "With --jmap-upstream: sessions and calls of the API that are asked of the JMAP server a second, by "
                "what came of them, and those without an answer yet.",
                "short",
                Query(HERE.rate("tidings_jmap_upstream_requests_total", by="kind, outcome"), "{{kind}} {{outcome}}"),
                Query(HERE.total("tidings_jmap_upstream_requests_open"), "waiting"),
            )
        )
        .with_panel(
            series(
                "From clients",
                "Messages, and errors answered to them.",
                "ops",
                Query(HERE.rate("tidings_messages_received_total"), "messages"),
                Query(HERE.rate("tidings_request_errors_total"), "errors"),
            )
        )
    )


def _pushes(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Pushes"))
        .with_panel(
            series(
                "Pushes",
                "StateChanges pushed that name a change, changes times clients they concern, and those merged into one "
                "that waited.",
                "ops",
                Query(HERE.rate("tidings_pushes_total"), "pushed"),
                Query(HERE.rate("tidings_changes_matched_total"), "matched"),
                Query(HERE.rate("tidings_changes_coalesced_total"), "merged"),
            )
        )
        .with_panel(
            series(
                "Consume to write",
                "From consuming a change to writing it, coalescing (100 ms unless set otherwise) included.",
                "s",
                *HERE.percentiles("tidings_consume_to_write_seconds", "write", 50, 90, 99),
            )
        )
        .with_panel(
            series(
                "Written",
                "Bytes to clients per second.",
                "Bps",
                Query(HERE.rate("tidings_sent_bytes_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Resumes, by outcome",
                "What those who subscribe had missed. fresh came without a cursor.",
                "ops",
                Query(HERE.rate("tidings_resumes_total", by="outcome"), "{{outcome}}"),
                stacked=True,
            )
        )
        .with_panel(
            series(
                "Resynchronisations, by reason",
                "Clients told to fetch everything again, and those of them for whom too many types waited.",
                "ops",
                Query(HERE.rate("tidings_resyncs_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_pending_overflows_total"), "too many types"),
            )
        )
        .with_panel(
            series(
                "Waiting",
                "Subscriptions not answered yet, clients whose turn to resynchronise has not come (--resync-rate), "
                "reads of the log for those who come back, and those whose account has cost too much lately.",
                "short",
                Query(HERE.total("tidings_resumes_waiting"), "subscriptions"),
                Query(HERE.total("tidings_resyncs_waiting"), "resynchronisations"),
                Query(HERE.total("tidings_stream_reads"), "reads"),
                Query(HERE.total("tidings_resumes_paced"), "too costly"),
            )
        )
        .with_panel(
            series(
                "Polls answered, by status",
                "304: nothing changed within the time the client waits.",
                "reqps",
                Query(HERE.rate("tidings_polls_answered_total", by="status"), "{{status}}"),
            )
        )
    )


def _feeds(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Feeds"))
        .with_panel(
            series(
                "Feeds",
                "Shards being read, and those that deliver. The lines should be one.",
                "short",
                Query(HERE.total("tidings_feeds"), "read"),
                Query(HERE.total("tidings_feeds_live"), "live"),
            )
        )
        .with_panel(
            series(
                "Consumed",
                "Changes, batches and markers from the log.",
                "ops",
                Query(HERE.rate("tidings_changes_consumed_total"), "changes"),
                Query(HERE.rate("tidings_batches_consumed_total"), "batches"),
                Query(HERE.rate("tidings_markers_consumed_total"), "markers"),
            )
        )
        .with_panel(
            series(
                "Append to consume",
                "From handing a batch to the log to consuming it, the confirm included. Clocks of both machines count.",
                "s",
                *HERE.percentiles("tidings_append_to_consume_seconds", "log", 50, 90, 99),
            )
        )
        .with_panel(
            series(
                "Lag, by shard",
                "From handing its newest batch to the log to consuming it, in the gateway that is furthest behind.",
                "s",
                Query(f"max by (shard) ({HERE.select('tidings_feed_lag_seconds')})", "{{shard}}"),
            )
        )
        .with_panel(
            series(
                "Silence, by shard",
                "Since the log last delivered anything. A marker every two to three seconds keeps it short.",
                "s",
                Query(f"max by (shard) ({HERE.select('tidings_feed_silence_seconds')})", "{{shard}}"),
            )
        )
        .with_panel(
            series(
                "Feeds in trouble",
                "Feeds that stopped delivering, gaps found, entries that are no batch.",
                "ops",
                Query(HERE.rate("tidings_feeds_lost_total"), "lost"),
                Query(HERE.rate("tidings_feed_gaps_total"), "gaps"),
                Query(HERE.rate("tidings_batches_undecodable_total"), "undecodable"),
            )
        )
        .with_panel(
            series(
                "Clock skew",
                "Latencies that came out negative or beyond an hour: no two clocks that agree measure such.",
                "ops",
                Query(HERE.rate("tidings_clock_skew_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Ahead of the log's clock",
                "How far each gateway's clock is ahead of the broker's, right to 2 s.",
                "s",
                Query(f"max by (instance) ({HERE.select('tidings_clock_skew_seconds')})", "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Windows cut",
                "Parts dropped before their time, for lack of room (--window-bytes). Who comes back from before them "
                "is told from the log.",
                "ops",
                Query(HERE.rate("tidings_windows_cut_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(broker_panel())
    )
