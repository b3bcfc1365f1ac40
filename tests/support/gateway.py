"""A real gateway in the test's own loop, on a free port, over a log in memory or the one given."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_bytes

from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.routing import Route
from starlette.types import ASGIApp

from asyncio_pprof.traces import Book
from tidings.bus.log import ChangeLog
from tidings.bus.memory import MemoryLog
from tidings.gateway.service import compose
from tidings.gateway.settings import GatewaySettings
from tidings.ops.budget import Budget
from tidings.ops.health import Health
from tidings.ops.pool import WorkerPool
from tidings.ops.process.runtime import new_runtime
from tidings.ops.service import Service
from tidings.ops.tracing.spans import Tracer
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

SECRET = "a secret of thirty-two bytes or more"


@dataclass
class RunningGateway:
    """What a test needs to talk to it and to look inside."""

    port: int
    log: ChangeLog
    registry: CollectorRegistry
    health: Health
    service: Service
    pool: WorkerPool
    pages: Sequence[Route]
    requests: Book
    budget: Budget
    _ids: int = field(default=0)

    def url(self, query: str = "account=alice", path: str = "/jmap/ws") -> str:
        return f"ws://127.0.0.1:{self.port}{path}?{query}"

    def http_url(self, path: str, query: str = "account=alice") -> str:
        return f"http://127.0.0.1:{self.port}{path}?{query}"

    async def publish(self, account: str, changed: Mapping[str, str | None], *, at: float | None = None) -> None:
        """Append one change as a publisher would."""
        self._ids += 1
        change = Change(account, dict(changed), "MessageNew", str(self._ids), "test", at)
        await self.publish_all([change])

    async def publish_all(self, changes: list[Change]) -> None:
        """Append the changes of one account's shard as one batch."""
        shard = shard_of(changes[0].account, self.log.shards)
        await self.log.append(shard, batch.encode(token_bytes(16), time.time(), tuple(changes)))

    def value(self, name: str, **labels: str) -> float:
        """A metric's present value."""
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"no metric {name} {labels}"
        return value


@asynccontextmanager
async def running_gateway(
    *,
    log: ChangeLog | None = None,
    fallback: ASGIApp | None = None,
    room: int = 0,
    tracer: Tracer | None = None,
    **settings: object,
) -> AsyncIterator[RunningGateway]:
    """Start one that may hold `room` bytes for others, 0 for any number; `settings` are GatewaySettings."""
    if isinstance(secret := settings.get("jwt_secret"), str):
        settings["jwt_secret"] = SecretStr(secret)
    given = GatewaySettings.model_validate({"port": 0, "coalesce_ms": 0, "drain_delay_seconds": 0, **settings})
    runtime = new_runtime()
    runtime.budget.limit = room or runtime.budget.limit
    async with AsyncExitStack() as stack:
        if log is None:
            log = MemoryLog(shards=8)
            await log.open()
            stack.push_async_callback(log.close)
        *helpers, service = compose(given, log, runtime, fallback, tracer=tracer)
        for each in (*helpers, service):
            await each.start()
            stack.push_async_callback(each.stop)
        port: int = service.port  # type: ignore[attr-defined]
        yield RunningGateway(
            port,
            log,
            runtime.registry,
            runtime.health,
            service,
            runtime.pool,
            runtime.pages,
            runtime.requests,
            runtime.budget,
        )
