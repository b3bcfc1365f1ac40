"""The rules for clients, as the settings of a gateway make them."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from tidings.auth.access import client_access
from tidings.auth.gatekeeper import Gatekeeper
from tidings.gateway.settings import GatewaySettings
from tidings.ops.health import Health
from tidings.ops.pool import WorkerPool


def gatekeeper(settings: Mapping[str, object], host: str = "0.0.0.0", pool: WorkerPool | None = None) -> Gatekeeper:
    """Who lets clients of a listener on `host` in. Raises SettingsError."""
    registry = CollectorRegistry()
    given = GatewaySettings.model_validate(settings)
    return client_access(given, host, registry, Health(), pool or WorkerPool(registry)).gatekeeper
