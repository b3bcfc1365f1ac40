"""Whether the installation works, on one page: what to look at first when an alert comes."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from monitoring.dashboards import namespaces
from monitoring.panels import HALF, THIRD, heat, number, page, series
from monitoring.promql import INSTALLATION as HERE
from monitoring.promql import Query


def build() -> Dashboard:
    """The dashboard."""
    refused = HERE.rate("tidings_publisher_requests_total", 'status="503"')
    return (
        page("tidings-overview", "Tidings / Overview", "Do all changes reach all clients, and fast?", [namespaces()])
        .with_row(Row("Now"))
        .with_panel(
            number(
                "Gateways ready",
                "Gateways that accept clients. A gateway with several workers counts once for each worker.",
                "short",
                Query(HERE.total("tidings_ready", 'command=~"gateway|up"'), "ready"),
            )
        )
        .with_panel(
            number(
                "Publishers ready",
                "Publishers that take changes.",
                "short",
                Query(HERE.total("tidings_ready", 'command=~"publisher|up"'), "ready"),
            )
        )
        .with_panel(
            number(
                "Clients",
                "Parked connections of every wire format.",
                "short",
                Query(HERE.total("tidings_connections_open"), "open"),
            )
        )
        .with_panel(
            number(
                "Capacity used",
                "Share of the connections that all gateways together may hold.",
                "percentunit",
                Query(f"{HERE.total('tidings_connections_open')} / {HERE.total('tidings_connections_max')}", "taken"),
                bad_above=0.8,
            )
        )
        .with_panel(
            number(
                "Shards not delivering",
                "Feeds that are not live. Clients of these shards receive no changes.",
                "short",
                Query(f"{HERE.total('tidings_feeds')} - {HERE.total('tidings_feeds_live')}", "not live"),
                bad_above=1,
            )
        )
        .with_panel(
            number(
                "Refused changes",
                "Requests of storages that the publishers answer with 503.",
                "reqps",
                Query(f"{refused} or vector(0)", "refused"),
                bad_above=0.01,
            )
        )
        .with_row(Row("From storage to socket"))
        .with_panel(
            heat(
                "Change to write",
                "Time from the change, as the storage gives it, to the write to a client's socket. The time is right "
                "only if the clocks of storage and gateway agree.",
                "s",
                Query(
                    "sum by (le) (increase("
                    f"{HERE.select('tidings_change_to_write_seconds_bucket')}[$__rate_interval]))",
                    "{{le}}",
                ),
            )
        )
        .with_panel(
            series(
                "Where the time goes",
                "Latency of each part: from ingest to confirm (ingest), through the log (append), from gateway to "
                "socket (write).",
                "s",
                *HERE.percentiles("tidings_ingest_to_confirm_seconds", "ingest", 50, 99),
                *HERE.percentiles("tidings_append_to_consume_seconds", "append", 50, 99),
                *HERE.percentiles("tidings_consume_to_write_seconds", "write", 50, 99),
                width=HALF,
            )
        )
        .with_panel(
            series(
                "Changes and pushes",
                "Changes that the log confirmed, changes multiplied by their clients (matched), and pushes to clients.",
                "ops",
                Query(HERE.rate("tidings_publisher_changes_total"), "confirmed"),
                Query(HERE.rate("tidings_changes_matched_total"), "matched"),
                Query(HERE.rate("tidings_pushes_total"), "pushed"),
            )
        )
        .with_panel(
            series(
                "Connections",
                "Parked connections by wire format.",
                "short",
                Query(HERE.total("tidings_connections_open", by="format"), "{{format}}"),
                stacked=True,
            )
        )
        .with_panel(
            series(
                "Polls avoided",
                "Requests that the connected clients would have made by polling every 30 s, and long polls answered.",
                "reqps",
                Query(HERE.rate("tidings_polls_avoided_total"), "avoided"),
                Query(HERE.rate("tidings_polls_answered_total"), "answered"),
            )
        )
        .with_row(Row("Problems"))
        .with_panel(
            series(
                "Connections opened and closed",
                "A wave is a rollout, a network failure or a reconnect storm.",
                "cps",
                Query(HERE.rate("tidings_connections_opened_total"), "opened"),
                Query(HERE.rate("tidings_connections_closed_total"), "closed"),
            )
        )
        .with_panel(
            series(
                "Resynchronisations",
                "Clients that were told to fetch everything again, by reason. Each of them loads the mail server.",
                "ops",
                Query(HERE.rate("tidings_resyncs_total", by="reason"), "{{reason}}"),
            )
        )
        .with_panel(
            series(
                "Refused clients",
                "Requests of clients that gateways refused, by reason.",
                "reqps",
                Query(HERE.rate("tidings_rejections_total", by="reason"), "{{reason}}"),
                width=THIRD,
            )
        )
    )
