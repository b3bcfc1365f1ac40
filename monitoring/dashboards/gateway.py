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
            "Workers that answer. Per second: workers that were replaced, and questions without an answer.",
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
                "Parked connections, and the limit of each process.",
                "short",
                Query(HERE.total("tidings_connections_open", by="instance"), "{{instance}}"),
                Query(HERE.select("tidings_connections_max"), "{{instance}} at most"),
            )
        )
        .with_panel(
            series(
                "Opened, by wire format",
                "Connections accepted, connections parked, and requests handed over to the HTTP application.",
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
                "All client sockets, sockets not parked yet, sockets whose client does not read (blocked), requests "
                "handed over to the HTTP application, and sockets whose token is being verified.",
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
                "Refused, by reason",
                "Refused requests of clients, requests whose head came too late, sockets closed without an answer "
                "because the gateway had no room, requests whose proxy gave no valid client address, pauses of "
                "accepting because no open files were left, and connections closed after an error in the gateway.",
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
                "With --jwks-url: keys that verify tokens, and fetches of the key set per second, by outcome. If a "
                "fetch fails, the gateway keeps the old keys. Then tokens of newer keys are refused.",
                "short",
                Query(HERE.select("tidings_jwks_keys"), "{{instance}} keys"),
                Query(HERE.rate("tidings_jwks_fetches_total", by="outcome"), "{{outcome}} fetches"),
            )
        )
        .with_panel(
            series(
                "JMAP server",
                "With --jmap-upstream: requests to the JMAP server per second, for sessions and for API calls, by "
                "outcome, and requests without an answer yet.",
                "short",
                Query(HERE.rate("tidings_jmap_upstream_requests_total", by="kind, outcome"), "{{kind}} {{outcome}}"),
                Query(HERE.total("tidings_jmap_upstream_requests_open"), "waiting"),
            )
        )
        .with_panel(
            series(
                "From clients",
                "Messages from clients, and errors that the gateway answered.",
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
                "StateChanges pushed, changes multiplied by their clients (matched), and changes merged into a waiting "
                "push (merged).",
                "ops",
                Query(HERE.rate("tidings_pushes_total"), "pushed"),
                Query(HERE.rate("tidings_changes_matched_total"), "matched"),
                Query(HERE.rate("tidings_changes_coalesced_total"), "merged"),
            )
        )
        .with_panel(
            series(
                "Consume to write",
                "Time from consuming a change to writing it, with the coalescing interval (--coalesce-ms, 100 ms).",
                "s",
                *HERE.percentiles("tidings_consume_to_write_seconds", "write", 50, 90, 99),
            )
        )
        .with_panel(
            series(
                "Written",
                "Bytes written to clients per second.",
                "Bps",
                Query(HERE.rate("tidings_sent_bytes_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Resumes, by outcome",
                "How the gateway told subscribing clients what they had missed. fresh: the client had no cursor.",
                "ops",
                Query(HERE.rate("tidings_resumes_total", by="outcome"), "{{outcome}}"),
                stacked=True,
            )
        )
        .with_panel(
            series(
                "Resynchronisations, by reason",
                "Clients that were told to fetch everything again, and how many of them had too many types waiting.",
                "ops",
                Query(HERE.rate("tidings_resyncs_total", by="reason"), "{{reason}}"),
                Query(HERE.rate("tidings_pending_overflows_total"), "too many types"),
            )
        )
        .with_panel(
            series(
                "Waiting",
                "Subscriptions without an answer yet, clients that wait for their turn to resynchronise "
                "(--resync-rate), reads of the log for returning clients, and clients whose account has used too many "
                "of these reads.",
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
                "304: nothing changed while the client waited.",
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
                "Shards that the gateways read, and shards that deliver (live). Both lines should be the same.",
                "short",
                Query(HERE.total("tidings_feeds"), "read"),
                Query(HERE.total("tidings_feeds_live"), "live"),
            )
        )
        .with_panel(
            series(
                "Consumed",
                "Changes, batches and markers that the gateways read from the log.",
                "ops",
                Query(HERE.rate("tidings_changes_consumed_total"), "changes"),
                Query(HERE.rate("tidings_batches_consumed_total"), "batches"),
                Query(HERE.rate("tidings_markers_consumed_total"), "markers"),
            )
        )
        .with_panel(
            series(
                "Append to consume",
                "Time from appending a batch to consuming it, with the confirm. The time is right only if the clocks "
                "of publisher and gateway agree.",
                "s",
                *HERE.percentiles("tidings_append_to_consume_seconds", "log", 50, 90, 99),
            )
        )
        .with_panel(
            series(
                "Lag, by shard",
                "Time from appending the newest batch to consuming it, in the slowest gateway.",
                "s",
                Query(f"max by (shard) ({HERE.select('tidings_feed_lag_seconds')})", "{{shard}}"),
            )
        )
        .with_panel(
            series(
                "Silence, by shard",
                "Time since the log last delivered anything. A marker comes every two to three seconds.",
                "s",
                Query(f"max by (shard) ({HERE.select('tidings_feed_silence_seconds')})", "{{shard}}"),
            )
        )
        .with_panel(
            series(
                "Feed problems",
                "Feeds that stopped delivering (lost), gaps in the log, and entries that are not batches "
                "(undecodable).",
                "ops",
                Query(HERE.rate("tidings_feeds_lost_total"), "lost"),
                Query(HERE.rate("tidings_feed_gaps_total"), "gaps"),
                Query(HERE.rate("tidings_batches_undecodable_total"), "undecodable"),
            )
        )
        .with_panel(
            series(
                "Clock skew",
                "Latencies that are negative or longer than an hour. They show that clocks differ.",
                "ops",
                Query(HERE.rate("tidings_clock_skew_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Ahead of the log's clock",
                "How far each gateway's clock is ahead of the broker's clock. The value is exact to 2 s.",
                "s",
                Query(f"max by (instance) ({HERE.select('tidings_clock_skew_seconds')})", "{{instance}}"),
            )
        )
        .with_panel(
            series(
                "Windows cut",
                "Recent changes that were dropped early, because the window was full (--window-bytes). For clients "
                "that missed them, the gateway reads the log.",
                "ops",
                Query(HERE.rate("tidings_windows_cut_total", by="instance"), "{{instance}}"),
            )
        )
        .with_panel(broker_panel())
    )
