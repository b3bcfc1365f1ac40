"""The change log as a service, and the one that the settings name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from tidings.bus.log import ChangeLog
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.bus.settings import BusSettings
from tidings.errors import SettingsError
from tidings.ops.metrics import HotMetrics, added


class LogService:
    """The log's connections, up before the services that use it and closed after them."""

    name = "log"

    def __init__(self, log: ChangeLog, registry: CollectorRegistry) -> None:
        self._log = log
        if isinstance(log, RabbitMQLog):
            _expose(log, HotMetrics(registry))

    async def start(self) -> None:
        await self._log.open()

    async def stop(self) -> None:
        await self._log.close()


def _expose(log: RabbitMQLog, metrics: HotMetrics) -> None:
    """Tell in metrics how it stands with the broker."""
    label = ["connection"]
    metrics.labelled_gauge(
        "tidings_bus_connected", "1 while a connection to the broker is up", label, lambda: log.connected, merged=added
    )
    metrics.labelled_counter(
        "tidings_bus_failures", "Connections to the broker that ended or could not be made", label, lambda: log.failures
    )
    metrics.gauge(
        "tidings_bus_blocked", "1 while the broker blocks publishing (an alarm)", lambda: log.blocked, merged=added
    )


def open_log(settings: BusSettings) -> ChangeLog:
    """The log that the settings name."""
    if settings.bus_in_memory:
        from tidings.bus.memory import MemoryLog

        return MemoryLog(settings.shards)
    return RabbitMQLog(settings.bus, settings.shards, retention=settings.retention)


def shared_log(settings: BusSettings) -> ChangeLog:
    """The log for a service in a process of its own. Raises SettingsError for one that ends with the process."""
    if settings.bus_in_memory:
        raise SettingsError(
            "--bus (TIDINGS_BUS): memory:// reaches no other process; give amqp://..., or use tidings up"
        )
    return open_log(settings)
