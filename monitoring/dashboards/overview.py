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
        page("tidings-overview", "Tidings / Overview", "Is everybody told of everything, at once?", [namespaces()])
        .with_row(Row("Now"))
        .with_panel(
            number(
                "Gateways ready",
                "Gateways, or workers of them, that accept clients.",
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
                "Room taken",
                "Of the connections that all gateways together may park.",
                "percentunit",
                Query(f"{HERE.total('tidings_connections_open')} / {HERE.total('tidings_connections_max')}", "taken"),
                bad_above=0.8,
            )
        )
        .with_panel(
            number(
                "Shards not delivering",
                "Feeds that are not live. More than none for long: clients of those shards are told nothing.",
                "short",
                Query(f"{HERE.total('tidings_feeds')} - {HERE.total('tidings_feeds_live')}", "not live"),
                bad_above=1,
            )
        )
        .with_panel(
            number(
                "Refused changes",
                "Requests of storages that are answered 503.",
                "reqps",
                Query(f"{refused} or vector(0)", "refused"),
                bad_above=0.01,
            )
        )
        .with_row(Row("From storage to socket"))
        .with_panel(
            heat(
                "Change to write",
                "From the time that the storage gave for a change to the write to a client's socket. "
                "Clocks of the storage and of the gateway both count.",
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
                "The parts of the way: to the confirm (ingest), through the log (append), gateway to socket (write).",
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
                "Changes that the log confirmed, changes times the clients they concern, and pushes to clients.",
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
                "Polls that nobody had to make",
                "What the parked clients would have asked by polling every 30 s.",
                "reqps",
                Query(HERE.rate("tidings_polls_avoided_total"), "avoided"),
                Query(HERE.rate("tidings_polls_answered_total"), "answered"),
            )
        )
        .with_row(Row("Trouble"))
        .with_panel(
            series(
                "Connections opened and closed",
                "A wave here is a rollout, a network that broke, or a reconnect storm.",
                "cps",
                Query(HERE.rate("tidings_connections_opened_total"), "opened"),
                Query(HERE.rate("tidings_connections_closed_total"), "closed"),
            )
        )
        .with_panel(
            series(
                "Resynchronisations",
                "Clients told to fetch everything again, by reason. Each is work for the mail server behind.",
                "ops",
                Query(HERE.rate("tidings_resyncs_total", by="reason"), "{{reason}}"),
            )
        )
        .with_panel(
            series(
                "Turned away",
                "Requests rejected instead of parked, by reason.",
                "reqps",
                Query(HERE.rate("tidings_rejections_total", by="reason"), "{{reason}}"),
                width=THIRD,
            )
        )
    )
