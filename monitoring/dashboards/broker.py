"""RabbitMQ as Tidings needs it, from its plugin `rabbitmq_prometheus`. RabbitMQ publishes larger dashboards itself."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from monitoring.dashboards import namespaces
from monitoring.panels import number, page, series
from monitoring.promql import INSTALLATION as HERE
from monitoring.promql import Query


def build() -> Dashboard:
    """The dashboard."""
    dashboard = page(
        "tidings-broker",
        "Tidings / RabbitMQ",
        "The RabbitMQ nodes of the change log.",
        [namespaces("label_values(rabbitmq_identity_info, namespace)")],
    )
    _now(dashboard)
    _log(dashboard)
    _nodes(dashboard)
    return dashboard


def _now(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Now"))
        .with_panel(
            number(
                "Nodes",
                "Nodes that answer.",
                "short",
                Query(f"count({HERE.select('rabbitmq_identity_info')})", "nodes"),
            )
        )
        .with_panel(
            number(
                "Memory alarms",
                "A node with an alarm blocks every publisher of the cluster.",
                "short",
                Query(HERE.total("rabbitmq_alarms_memory_used_watermark"), "alarms"),
                bad_above=1,
            )
        )
        .with_panel(
            number(
                "Disk alarms",
                "A node with an alarm blocks every publisher of the cluster.",
                "short",
                Query(HERE.total("rabbitmq_alarms_free_disk_space_watermark"), "alarms"),
                bad_above=1,
            )
        )
        .with_panel(
            number("Connections", "AMQP connections.", "short", Query(HERE.total("rabbitmq_connections"), "open"))
        )
        .with_panel(
            number(
                "Consumers",
                "Each feed of a gateway is a consumer.",
                "short",
                Query(HERE.total("rabbitmq_consumers"), "consumers"),
            )
        )
        .with_panel(
            number(
                "Queues",
                "RabbitMQ counts streams as queues. Each shard is a stream.",
                "short",
                Query(HERE.total("rabbitmq_queues"), "queues"),
            )
        )
    )


def _log(dashboard: Dashboard) -> None:
    published = 'protocol="amqp091"'
    (
        dashboard.with_row(Row("The log"))
        .with_panel(
            series(
                "Appended",
                "Messages that publishers sent (received) and that RabbitMQ confirmed. Both lines should be the same.",
                "ops",
                Query(HERE.rate("rabbitmq_global_messages_received_confirm_total", published), "received"),
                Query(HERE.rate("rabbitmq_global_messages_confirmed_total", published), "confirmed"),
                Query(HERE.rate("rabbitmq_global_messages_unroutable_returned_total", published), "returned"),
            )
        )
        .with_panel(
            series(
                "Delivered",
                "Messages to gateways. Each batch counts once for each gateway that reads its shard.",
                "ops",
                Query(
                    HERE.rate("rabbitmq_global_messages_delivered_total", 'queue_type="rabbit_stream_queue"'),
                    "delivered",
                ),
            )
        )
        .with_panel(
            series(
                "Connections opened and closed",
                "Tidings keeps its connections open, so a constant rate is a problem.",
                "cps",
                Query(HERE.rate("rabbitmq_connections_opened_total"), "opened"),
                Query(HERE.rate("rabbitmq_connections_closed_total"), "closed"),
            )
        )
    )


def _nodes(dashboard: Dashboard) -> None:
    (
        dashboard.with_row(Row("Nodes"))
        .with_panel(
            series(
                "Memory",
                "Resident memory, and the limit at which the alarm is raised.",
                "bytes",
                Query(HERE.select("rabbitmq_process_resident_memory_bytes"), "{{instance}}"),
                Query(HERE.select("rabbitmq_resident_memory_limit_bytes"), "{{instance}} alarm"),
            )
        )
        .with_panel(
            series(
                "Free disk space",
                "Free disk space, and the limit at which the alarm is raised.",
                "bytes",
                Query(HERE.select("rabbitmq_disk_space_available_bytes"), "{{instance}}"),
                Query(HERE.select("rabbitmq_disk_space_available_limit_bytes"), "{{instance}} alarm"),
            )
        )
        .with_panel(
            series(
                "Open files",
                "Each segment of a stream and each connection needs an open file.",
                "short",
                Query(HERE.select("rabbitmq_process_open_fds"), "{{instance}}"),
                Query(HERE.select("rabbitmq_process_max_fds"), "{{instance}} limit"),
            )
        )
    )
