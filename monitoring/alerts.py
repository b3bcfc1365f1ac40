"""The alerts: only what somebody has to act on, each with a page of its name in docs/runbooks.

`critical` wakes somebody: clients are not told, storages are refused, or the next minutes will bring that. `warning`
can wait for the morning. Several installations may share a Prometheus, so everything is judged by namespace; where
there are no namespaces that is one installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitoring.alert import THRESHOLD, Alert, Group
from monitoring.promises import PROMISES

GROUPED: Final = 'tidings_group!=""'
"""Targets that are in a group of gateways: the chart's ServiceMonitor gives them that label."""


def rule_file() -> dict[str, object]:
    """What Prometheus loads, and what a PrometheusRule has below `spec`."""
    return {"groups": [{"name": group.name, "rules": [alert.rule() for alert in group.alerts]} for group in GROUPS]}


def conditions() -> dict[str, str]:
    """By alert, the conditions that have a threshold, with THRESHOLD in its place: for the chart."""
    return {alert.name: alert.condition for alert in all_alerts() if alert.threshold is not None}


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
UNKNOWN: Final = 'tidings_publisher_requests_total{status=~"401|403"}'
NOT_LET_IN: Final = (
    'tidings_rejections_total{reason=~"no_token|bad_token|expired_token|unknown_key|foreign_account|no_account|'
    'bad_account|foreign_origin|no_origin|foreign_host"}'
)
"""Requests of clients that were answered 401 or 403."""
UPSTREAM: Final = "tidings_jmap_upstream_requests_total"
UPSTREAM_FAILED: Final = f'{UPSTREAM}{{outcome=~"5xx|failed|late|refused|unusable"}}'
"""Requests to the JMAP server that a client got no answer to, or an error of the server."""
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
            "Storages cannot send changes, so clients receive no new changes.",
        ),
        Alert(
            "TidingsPublisherRefuses",
            f"{rate(REFUSED)} / {rate(REQUESTS)} > {THRESHOLD}",
            "2m",
            "critical",
            "The publisher refuses changes (503)",
            "The publisher refuses {{ $value | humanizePercentage }} of the requests: log and spool take no changes.",
            threshold=0.01,
        ),
        Alert(
            "TidingsSendersNotLetIn",
            f"{rate(UNKNOWN)} / {rate(REQUESTS)} > {THRESHOLD}",
            "5m",
            "critical",
            "The publisher refuses senders (401, 403)",
            "{{ $value | humanizePercentage }} of the requests have no valid token. Their changes are refused.",
            threshold=0.05,
        ),
        Alert(
            "TidingsChangesWait",
            f"max by (namespace, instance) (tidings_spool_oldest_seconds) > {THRESHOLD}",
            "1m",
            "critical",
            "Changes wait for the log",
            "A change has waited {{ $value | humanizeDuration }} in the spool. Clients do not know of it.",
            threshold=60,
        ),
        Alert(
            "TidingsSpoolFilling",
            f"max by (namespace, instance) (tidings_spool_bytes / tidings_spool_capacity_bytes) > {THRESHOLD}",
            "0m",
            "critical",
            "A spool fills up",
            "The spool is {{ $value | humanizePercentage }} full. When it is full, the publisher refuses changes.",
            threshold=0.5,
        ),
        Alert(
            "TidingsSpoolFails",
            f"{increase('tidings_spool_failures_total', '5m')} > 0",
            "0m",
            "critical",
            "A spool cannot be written or read",
            "The spool's disk failed {{ $value | humanize }} times. While the log is away, the publisher refuses "
            "changes.",
        ),
    ),
)

SOURCES: Final = Group(
    "tidings-sources",
    (
        Alert(
            "TidingsSourceAway",
            "max by (namespace, source) (tidings_source_connected) == 0",
            "2m",
            "critical",
            "A source is not connected",
            "No publisher is connected to the {{ $labels.source }} source, so clients receive no changes from it.",
        ),
        Alert(
            "TidingsSourceBehind",
            f"max by (namespace, source) (tidings_source_lag_seconds) > {THRESHOLD}",
            "2m",
            "critical",
            "A source is behind",
            "A change of the {{ $labels.source }} source has waited {{ $value | humanizeDuration }} to be published.",
            threshold=60,
        ),
        Alert(
            "TidingsSourceGaps",
            "sum by (namespace, source) (increase(tidings_source_gaps_total[15m])) > 0",
            "0m",
            "warning",
            "A source may have missed changes",
            "The {{ $labels.source }} source had {{ $value | humanize }} gaps. Clients were told to fetch everything.",
        ),
        Alert(
            "TidingsLoginsUnmapped",
            "sum by (namespace, source) (increase(tidings_source_unmapped_total[15m])) > 0",
            "15m",
            "warning",
            "Logins have no account",
            "{{ $value | humanize }} changes of the {{ $labels.source }} source name logins that --account-map does "
            "not have.",
        ),
        Alert(
            "TidingsImapAccountsUnheard",
            "sum by (namespace) (tidings_publisher_imap_accounts - tidings_publisher_imap_connections) > 0",
            "15m",
            "warning",
            "Accounts of an IMAP server have no connection",
            "{{ $value | humanize }} accounts of --imap-accounts have no connection. Their clients receive no changes.",
        ),
        Alert(
            "TidingsImapServerSilent",
            "sum by (namespace) (increase(tidings_publisher_imap_untold_total[15m])) > 0",
            "15m",
            "warning",
            "An IMAP server does not announce changes",
            "The server did not announce {{ $value | humanize }} changes. The publisher found them late, by comparing.",
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
            "Clients cannot connect. Connected clients receive no changes.",
        ),
        Alert(
            "TidingsGroupNotReady",
            # A group whose pods are all gone has no target any more, so it is remembered.
            f"count by (namespace, tidings_group) (max_over_time(up{{{GROUPED}}}[1h]))"
            f" unless max by (namespace, tidings_group) (tidings_ready{{{GROUPED}}}) > 0",
            "2m",
            "critical",
            "No gateway of a group is ready",
            "Clients of group {{ $labels.tidings_group }} cannot connect, unless you send them to other gateways.",
        ),
        Alert(
            "TidingsFeedsNotLive",
            f"{total('tidings_feeds - tidings_feeds_live')} > 0",
            "2m",
            "critical",
            "Gateways do not receive some shards",
            "{{ $value }} feeds deliver nothing. Clients of these shards receive no changes.",
        ),
        Alert(
            "TidingsPushesLate",
            f"{p99('tidings_append_to_consume_seconds')} > {THRESHOLD}"
            f" or {p99('tidings_consume_to_write_seconds')} > {THRESHOLD}",
            "10m",
            "warning",
            "Changes reach clients late",
            "One change in a hundred needs {{ $value | humanizeDuration }} or more in the log or in a gateway.",
            threshold=1,
        ),
        Alert(
            "TidingsResyncStorm",
            f"{RESYNCS} > {THRESHOLD} * {total('tidings_connections_open')} and {RESYNCS} > 1000",
            "0m",
            "critical",
            "Many clients fetch everything again",
            "{{ $value | humanize }} clients resynchronised within 10 minutes or wait to do so. This loads the mail "
            "server.",
            threshold=0.2,
        ),
        Alert(
            "TidingsReconnectStorm",
            f"{rate(OPENED)} > {THRESHOLD} * {total(OPEN)} and {rate(OPENED)} > 20",
            "10m",
            "warning",
            "Clients keep reconnecting",
            "Clients open {{ $value | humanize }} connections per second. This is more than 1% of all clients.",
            threshold=0.01,
        ),
        Alert(
            "TidingsGatewaysNearlyFull",
            f"{total('tidings_connections_open')} / {total('tidings_connections_max')} > {THRESHOLD}",
            "10m",
            "warning",
            "Gateways are almost full",
            "The gateways hold {{ $value | humanizePercentage }} of the connections that they may hold.",
            threshold=0.8,
        ),
        Alert(
            "TidingsClientsTurnedAway",
            f"{rate(FULL)} > 0",
            "5m",
            "critical",
            "A gateway is full",
            "The gateways refuse {{ $value | humanize }} clients per second (503).",
        ),
        Alert(
            "TidingsClientsNotLetIn",
            f"{rate(NOT_LET_IN)} / ({rate(NOT_LET_IN)} + {rate('tidings_connections_opened_total')}) > {THRESHOLD}"
            f" and {rate(NOT_LET_IN)} > 0.1",
            "10m",
            "warning",
            "Many clients are refused (401, 403)",
            "{{ $value | humanizePercentage }} of the new clients have no valid token or an origin that is not "
            "allowed.",
            threshold=0.2,
        ),
        Alert(
            "TidingsKeysStale",
            f"{fetches('failed')} > 0 unless {fetches('good')} > 0",
            "15m",
            "warning",
            "A gateway cannot fetch the keys for tokens",
            "{{ $labels.instance }} has fetched no keys for half an hour. Clients with tokens of newer keys cannot "
            "connect.",
        ),
        Alert(
            "TidingsJmapServerFails",
            f"{rate(UPSTREAM_FAILED)} / {rate(UPSTREAM)} > {THRESHOLD}",
            "10m",
            "warning",
            "The JMAP server behind the gateways fails",
            "{{ $value | humanizePercentage }} of the requests to the JMAP server fail. New clients get no session.",
            threshold=0.2,
        ),
        Alert(
            "TidingsClientsBlocked",
            f"{total('tidings_connections_blocked')} / {total('tidings_sockets_open')} > {THRESHOLD}"
            f" and {total('tidings_connections_blocked')} > 50",
            "10m",
            "warning",
            "Many clients do not read what gateways write",
            "{{ $value | humanizePercentage }} of the client sockets are blocked: their clients do not read.",
            threshold=0.05,
        ),
        Alert(
            "TidingsFeedGaps",
            f"{increase('tidings_feed_gaps_total', '15m')} > 0",
            "0m",
            "warning",
            "Feeds found gaps in the log",
            "Feeds found {{ $value | humanize }} gaps. The clients of those shards were told to resynchronise.",
        ),
        Alert(
            "TidingsBatchesUndecodable",
            f"{increase('tidings_batches_undecodable_total', '15m')} > 0",
            "0m",
            "warning",
            "The log has entries that gateways cannot read",
            "{{ $value | humanize }} entries are not batches. Versions do not match, or another program writes to the "
            "log.",
        ),
        Alert(
            "TidingsClockSkew",
            f"{rate('tidings_clock_skew_total')} / ({' + '.join(map(rate, OBSERVED))}) > {THRESHOLD}",
            "15m",
            "warning",
            "Clocks differ",
            "{{ $value | humanizePercentage }} of the latencies are negative or longer than an hour, so do not trust "
            "them.",
            threshold=0.05,
        ),
        Alert(
            "TidingsClockWrong",
            f"max by (namespace, instance) (abs(tidings_clock_skew_seconds)) > {THRESHOLD}",
            "5m",
            "warning",
            "The clocks of a gateway and of RabbitMQ differ",
            "The clocks of {{ $labels.instance }} and of the RabbitMQ node differ by {{ $value | humanizeDuration }}.",
            threshold=30,
        ),
    ),
)

PROCESS: Final = Group(
    "tidings-process",
    (
        Alert(
            "TidingsLoopStuck",
            f"max_over_time(tidings_beat_age_seconds[5m]) > {THRESHOLD}"
            f" or max without (worker) (max_over_time(tidings_worker_beat_age_seconds[5m])) > {THRESHOLD}",
            "0m",
            "critical",
            "A main loop is stuck",
            "{{ $labels.instance }} did nothing for {{ $value | humanizeDuration }}. After 30 s, it is restarted.",
            threshold=10,
        ),
        Alert(
            "TidingsRestarting",
            ours(f"changes(process_start_time_seconds[30m]) > {THRESHOLD}"),
            "0m",
            "critical",
            "A process keeps restarting",
            "{{ $labels.instance }} or one of its workers started {{ $value }} times within 30 minutes.",
            threshold=2,
        ),
        Alert(
            "TidingsFilesRunOut",
            ours(f"process_open_fds / process_max_fds > {THRESHOLD}"),
            "5m",
            "warning",
            "A process has almost no open files left",
            "{{ $labels.instance }} has opened {{ $value | humanizePercentage }} of the files that it may open.",
            threshold=0.9,
        ),
        Alert(
            "TidingsMemoryPressure",
            "max by (namespace, instance) (tidings_memory_pressure) > 0",
            "2m",
            "warning",
            "A process is near its memory limit",
            "{{ $labels.instance }} is at level {{ $value }}. At level 1, it refuses new work. At level 2, it also "
            "closes the connections that hold most memory.",
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
            "{{ $labels.instance }} cannot {{ $labels.connection }} until it is connected to RabbitMQ again.",
        ),
        Alert(
            "TidingsBrokerAlarm",
            "max by (namespace, instance) (rabbitmq_alarms_memory_used_watermark) > 0"
            " or max by (namespace, instance) (rabbitmq_alarms_free_disk_space_watermark) > 0",
            "1m",
            "critical",
            "RabbitMQ is short of memory or disk space",
            "An alarm of the node {{ $labels.instance }} blocks every publisher of its cluster.",
        ),
        Alert(
            "TidingsBrokerNodeDown",
            "count by (rabbitmq_cluster) (count by (rabbitmq_cluster, rabbitmq_node)"
            " (max_over_time(rabbitmq_identity_info[1h])))"
            " > count by (rabbitmq_cluster) (count by (rabbitmq_cluster, rabbitmq_node) (rabbitmq_identity_info))",
            "2m",
            "warning",
            "A RabbitMQ node is down",
            "The cluster {{ $labels.rabbitmq_cluster }} had {{ $value }} nodes in the last hour. Now fewer nodes "
            "answer.",
        ),
    ),
)

GROUPS: Final = (PROMISES, PUBLISHER, SOURCES, GATEWAY, PROCESS, BROKER)
