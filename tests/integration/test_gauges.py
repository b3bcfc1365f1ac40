"""What the gauges of a gateway with several workers are together."""

from __future__ import annotations

from tests.support.gateway import running_gateway
from tidings.bus.memory import MemoryLog
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.bus.service import LogService
from tidings.gateway.service import compose
from tidings.gateway.settings import GatewaySettings
from tidings.ops.health import expose
from tidings.ops.metrics import added, merges
from tidings.ops.process.runtime import new_runtime


async def test_each_gauge_says_how_it_merges_and_those_that_are_not_added_up_before_the_start() -> None:
    composed = new_runtime()
    expose(composed.health, "gateway", composed.registry)
    LogService(RabbitMQLog("amqp://127.0.0.1:1/", 8), composed.registry)
    settings = GatewaySettings.model_validate({"auth": "jwt", "jwks_url": "https://id.example/keys"})
    compose(settings, MemoryLog(8), composed)
    early = merges(composed.registry)
    assert {metric.name for metric in composed.registry.collect() if metric.type == "gauge"} <= early.keys()
    async with running_gateway() as gateway:
        declared = merges(gateway.registry)
        assert {metric.name for metric in gateway.registry.collect() if metric.type == "gauge"} <= declared.keys()
    # The admin process knows what is composed, and adds up the rest.
    assert {name: merge for name, merge in declared.items() if merge is not added}.items() <= early.items()
