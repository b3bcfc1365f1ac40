"""The alerts: only what somebody has to act on, each with a section of its name in docs/operations.md.

`critical` wakes somebody: clients are not told, storages are refused, or the next minutes will bring that. `warning`
can wait for the morning. Several installations may share a Prometheus, so everything is judged by namespace; where
there are no namespaces that is one installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

RUNBOOKS: Final = "docs/operations.md"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition in PromQL that must hold for `hold`, and what it means; `description` is a Prometheus template."""

    name: str
    expr: str
    hold: str
    severity: Literal["critical", "warning"]
    summary: str
    description: str

    def rule(self) -> dict[str, object]:
        """The alert as an element of a rule file."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"{RUNBOOKS}#{self.name.lower()}",
            },
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts that are evaluated together."""

    name: str
    alerts: tuple[Alert, ...]


def rule_file() -> dict[str, object]:
    """What Prometheus loads, and what a PrometheusRule has below `spec`."""
    return {"groups": [{"name": group.name, "rules": [alert.rule() for alert in group.alerts]} for group in GROUPS]}


def all_alerts() -> Iterator[Alert]:
    """Every alert."""
    return (alert for group in GROUPS for alert in group.alerts)


def none_ready(command: str) -> str:
    """None of those that run this command is ready, though one was within the hour; or none has been seen in it."""
    ready = f'tidings_ready{{command=~"{command}|up"}}'
    return (
        f"(max by (namespace) (max_over_time({ready}[1h])) > 0)"
        f" unless (max by (namespace) ({ready}) > 0)"
        f" or absent_over_time({ready}[1h])"
    )


def increase(counter: str, window: str) -> str:
    """How much a counter grew in an installation."""
    return f"sum by (namespace) (increase({counter}[{window}]))"


def rate(counter: str, window: str = "5m") -> str:
    """How much a counter grows in an installation, per second."""
    return f"sum by (namespace) (rate({counter}[{window}]))"


def total(gauge: str) -> str:
    """A gauge's sum over an installation."""
    return f"sum by (namespace) ({gauge})"


def p99(histogram: str, window: str = "5m") -> str:
    """The 99th percentile over an installation."""
    return f"histogram_quantile(0.99, sum by (namespace, le) (rate({histogram}_bucket[{window}])))"


def ours(condition: str) -> str:
    """A condition on what every process tells of itself, for processes of Tidings."""
    return f"{condition} and on (instance, job) last_over_time(tidings_build_info[30m])"


def fetches(outcome: str) -> str:
    """Fetches of the key set by each process, within three times the pause between them."""
    return f'sum by (namespace, instance) (increase(tidings_jwks_fetches_total{{outcome="{outcome}"}}[15m]))'


OPENED: Final = 'tidings_connections_opened_total{format!="poll"}'
OPEN: Final = 'tidings_connections_open{format!="poll"}'
REQUESTS: Final = "tidings_publisher_requests_total"
REFUSED: Final = 'tidings_publisher_requests_total{status="503"}'
FULL: Final = 'tidings_rejections_total{reason="full"}'
OBSERVED: Final = ("tidings_append_to_consume_seconds_count", "tidings_change_to_write_seconds_count")
RESYNCS: Final = f"({increase('tidings_resyncs_total', '10m')} + {total('tidings_resyncs_waiting')})"
"""Clients that were told to resynchronise of late, and those whose turn has not come."""

PUBLISHER: Final = Group(
    "tidings-publisher",
    (
        Alert(
            "TidingsNoReadyPublisher",
            none_ready("publisher"),
            "2m",
            "critical",
            "No publisher is ready",
            "Storages cannot tell of changes: clients are not told of anything new.",
        ),
        Alert(
            "TidingsPublisherRefuses",
            f"{rate(REFUSED)} / {rate(REQUESTS)} > 0.01",
            "2m",
            "critical",
            "The publisher refuses changes (503)",
            "{{ $value | humanizePercentage }} of the requests are refused: neither log nor spool takes them.",
        ),
        Alert(
            "TidingsChangesWait",
            "max by (namespace, instance) (tidings_spool_oldest_seconds) > 60",
            "1m",
            "critical",
            "Changes wait for the log",
            "A change has waited {{ $value | humanizeDuration }} in the spool: its clients are not told.",
        ),
        Alert(
            "TidingsSpoolFilling",
            "max by (namespace, instance) (tidings_spool_bytes / tidings_spool_capacity_bytes) > 0.5",
            "0m",
            "critical",
            "A spool fills up",
            "The spool is {{ $value | humanizePercentage }} full. Once it is, storages are refused.",
        ),
        Alert(
            "TidingsSpoolFails",
            f"{increase('tidings_spool_failures_total', '5m')} > 0",
            "0m",
            "critical",
            "A spool cannot be written or read",
            "The disk failed the spool {{ $value | humanize }} times. Without the log, storages are now refused.",
        ),
    ),
)

GATEWAY: Final = Group(
    "tidings-gateway",
    (
        Alert(
            "TidingsNoReadyGateway",
            none_ready("gateway"),
            "2m",
            "critical",
            "No gateway is ready",
            "Clients cannot connect, and those that were connected are told nothing.",
        ),
        Alert(
            "TidingsFeedsNotLive",
            f"{total('tidings_feeds - tidings_feeds_live')} > 0",
            "2m",
            "critical",
            "Gateways do not receive some shards",
            "{{ $value }} feeds deliver nothing: the clients of their accounts are not told of changes.",
        ),
        Alert(
            "TidingsPushesLate",
            f"{p99('tidings_append_to_consume_seconds')} > 1 or {p99('tidings_consume_to_write_seconds')} > 1",
            "10m",
            "warning",
            "Changes reach clients late",
            "One in a hundred takes more than {{ $value | humanizeDuration }} through the log or through a gateway.",
        ),
        Alert(
            "TidingsResyncStorm",
            f"{RESYNCS} > 0.2 * {total('tidings_connections_open')} and {RESYNCS} > 1000",
            "0m",
            "critical",
            "Many clients fetch everything again",
            "{{ $value | humanize }} clients resynchronise within 10 minutes or wait for it: work for the mail server.",
        ),
        Alert(
            "TidingsReconnectStorm",
            f"{rate(OPENED)} > 0.01 * {total(OPEN)} and {rate(OPENED)} > 20",
            "10m",
            "warning",
            "Clients keep reconnecting",
            "{{ $value | humanize }} connections are opened per second: more than 1% of those there are.",
        ),
        Alert(
            "TidingsGatewaysNearlyFull",
            f"{total('tidings_connections_open')} / {total('tidings_connections_max')} > 0.8",
            "10m",
            "warning",
            "Gateways have little room left",
            "{{ $value | humanizePercentage }} of the connections that the gateways may park are open.",
        ),
        Alert(
            "TidingsClientsTurnedAway",
            f"{rate(FULL)} > 0",
            "5m",
            "critical",
            "A gateway is full",
            "{{ $value | humanize }} clients per second are turned away (503) for lack of room.",
        ),
        Alert(
            "TidingsKeysStale",
            f"{fetches('failed')} > 0 unless {fetches('good')} > 0",
            "15m",
            "warning",
            "The keys for tokens cannot be fetched",
            "{{ $labels.instance }} has had no new keys for half an hour: tokens signed with newer ones are refused.",
        ),
        Alert(
            "TidingsClientsBlocked",
            f"{total('tidings_connections_blocked')} / {total('tidings_sockets_open')} > 0.05"
            f" and {total('tidings_connections_blocked')} > 50",
            "10m",
            "warning",
            "Many clients do not take what is written to them",
            "{{ $value | humanizePercentage }} of the client sockets are blocked.",
        ),
        Alert(
            "TidingsFeedGaps",
            f"{increase('tidings_feed_gaps_total', '15m')} > 0",
            "0m",
            "warning",
            "The log lost changes, or had none to give",
            "Feeds found {{ $value | humanize }} gaps; the clients of those shards were told to resynchronise.",
        ),
        Alert(
            "TidingsBatchesUndecodable",
            f"{increase('tidings_batches_undecodable_total', '15m')} > 0",
            "0m",
            "warning",
            "Gateways cannot read what is in the log",
            "{{ $value | humanize }} entries were no batch: versions that do not fit, or a foreign writer.",
        ),
        Alert(
            "TidingsClockSkew",
            f"{rate('tidings_clock_skew_total')} / ({' + '.join(map(rate, OBSERVED))}) > 0.05",
            "15m",
            "warning",
            "Clocks disagree",
            "{{ $value | humanizePercentage }} of the latencies came out negative: latency metrics are wrong.",
        ),
    ),
)

PROCESS: Final = Group(
    "tidings-process",
    (
        Alert(
            "TidingsLoopStuck",
            "max_over_time(tidings_beat_age_seconds[5m]) > 10"
            " or max without (worker) (max_over_time(tidings_worker_beat_age_seconds[5m])) > 10",
            "0m",
            "critical",
            "A main loop stood still",
            "{{ $labels.instance }} did nothing for {{ $value | humanizeDuration }}. After 30 s it is restarted.",
        ),
        Alert(
            "TidingsRestarting",
            ours("changes(process_start_time_seconds[30m]) > 2"),
            "0m",
            "critical",
            "A process keeps ending",
            "{{ $labels.instance }} or one of its workers started {{ $value }} times within 30 minutes.",
        ),
        Alert(
            "TidingsFilesRunOut",
            ours("process_open_fds / process_max_fds > 0.9"),
            "5m",
            "warning",
            "A process has few files left to open",
            "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of the files that it may open.",
        ),
    ),
)

BROKER: Final = Group(
    "tidings-broker",
    (
        Alert(
            "TidingsBrokerUnreachable",
            "max by (namespace, instance, connection) (tidings_bus_connected) == 0",
            "5m",
            "warning",
            "A process has no connection to RabbitMQ",
            "{{ $labels.instance }} cannot {{ $labels.connection }}: what it is for stands still, whatever others do.",
        ),
        Alert(
            "TidingsBrokerAlarm",
            "max by (namespace, instance) (rabbitmq_alarms_memory_used_watermark) > 0"
            " or max by (namespace, instance) (rabbitmq_alarms_free_disk_space_watermark) > 0",
            "1m",
            "critical",
            "RabbitMQ takes nothing for lack of memory or disk space",
            "The node {{ $labels.instance }} has an alarm, which blocks every publisher of its cluster.",
        ),
        Alert(
            "TidingsBrokerNodeDown",
            "count by (rabbitmq_cluster) (count by (rabbitmq_cluster, rabbitmq_node)"
            " (max_over_time(rabbitmq_identity_info[1h])))"
            " > count by (rabbitmq_cluster) (count by (rabbitmq_cluster, rabbitmq_node) (rabbitmq_identity_info))",
            "2m",
            "warning",
            "A RabbitMQ node is gone",
            "Of the cluster {{ $labels.rabbitmq_cluster }}, fewer nodes than the {{ $value }} of the last hour answer.",
        ),
    ),
)

GROUPS: Final = (PUBLISHER, GATEWAY, PROCESS, BROKER)
