"""An installation to be hurt: a broker, a database with an outbox, two publishers that share it, and two gateways.

All of them are processes that come back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from yarl import URL

from tests.faults.schedule import Fault, Step
from tests.support.broker import Broker, memory_alarm
from tests.support.changelog import somebody_else
from tests.support.gateway import SECRET
from tests.support.metrics import Scrape
from tests.support.ports import free_ports
from tests.support.postgres import Postgres
from tests.support.processes import Tidings
from tests.support.proxy import Proxy, proxied
from tests.support.waiting import eventually, patient
from tidings.bus.rabbitmq.topology import Topology

SHARDS = 8
START_SECONDS = 60.0
CONFIRM_SECONDS = 30.0
"""How long a deaf proxy waits for somebody to append."""
COUNTED = {"tidings_resyncs_total": "reason", "tidings_resumes_total": "outcome"}


class Process:
    """A service at a port of its own. `lives` are all that it had, the present one last."""

    def __init__(self, command: str, port_flag: str, *flags: str) -> None:
        (self.port,) = free_ports(1)
        self._command = command
        self._flags = (port_flag, str(self.port), *flags)
        self.lives: list[Tidings] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def present(self) -> Tidings:
        return self.lives[-1]

    def launch(self) -> None:
        """Start it; also while the broker is away."""
        self.lives.append(Tidings(self._command, *self._flags, env={"TIDINGS_JWT_SECRET": SECRET}))

    async def started(self) -> None:
        await eventually(lambda: self.present.events("started"), START_SECONDS)

    async def scrape(self) -> Scrape:
        """Its metrics."""
        async with httpx2.AsyncClient(timeout=patient(START_SECONDS)) as http:
            return Scrape((await http.get(self.present.url("probe", "/metrics"))).text)

    def stop(self) -> None:
        if self.lives and self.present.process.returncode is None:
            self.present.stop()


class Installation:
    """What there is, and how each fault is brought about. Faults return once the cause is over."""

    def __init__(self, broker: Broker, postgres: Postgres, proxy: Proxy, directory: Path) -> None:
        self.bus = broker.fresh_url()
        self.outbox = postgres.fresh_url()
        self._postgres = postgres
        self._broker = broker
        self._proxy = proxy
        bus = ("--shards", str(SHARDS), "--bus")
        proxied_bus = str(URL(self.bus).with_port(proxy.port))
        outbox = ("--postgres-url", self.outbox)
        self.publishers = [
            Process("publisher", "--ingest-port", *bus, url, "--state-dir", str(directory / str(number)), *outbox)
            for number, url in enumerate((self.bus, proxied_bus))
        ]
        self.gateways = [Process("gateway", "--port", "--auth", "jwt", *bus, self.bus) for _ in range(2)]
        self.counted: Counter[tuple[str, str]] = Counter()
        self._means: dict[Fault, Callable[[Step], Awaitable[None]]] = {
            Fault.BROKER_RESTARTED: self._restart_broker,
            Fault.BROKER_KILLED: self._kill_broker,
            Fault.CONFIRM_CUT: self._cut_confirm,
            Fault.BROKER_FROZEN: self._freeze_broker,
            Fault.MEMORY_ALARM: self._alarm,
            Fault.STREAM_RECREATED: self._delete_stream,
            Fault.GATEWAY_KILLED: self._kill_gateway,
            Fault.PUBLISHER_KILLED: self._kill_publisher,
            Fault.POSTGRES_KILLED: self._kill_postgres,
        }

    @property
    def processes(self) -> list[Process]:
        return [*self.publishers, *self.gateways]

    async def start(self) -> None:
        for process in self.processes:
            process.launch()
        for process in self.processes:
            await process.started()

    def stop(self) -> None:
        for process in self.processes:
            process.stop()

    async def bring(self, step: Step) -> None:
        """Let a fault happen."""
        await self._means[step.fault](step)

    async def count(self, gateway: Process) -> None:
        """Add a gateway's counters to `counted`: (metric, label) -> number."""
        scrape = await gateway.scrape()
        for name, label in COUNTED.items():
            self.counted.update({(name, value): int(number) for value, number in scrape.by(name, label).items()})

    async def _restart_broker(self, step: Step) -> None:
        await asyncio.to_thread(self._broker.stop)
        await self._return_broker(step)

    async def _kill_broker(self, step: Step) -> None:
        await asyncio.to_thread(self._broker.kill)
        await self._return_broker(step)

    async def _return_broker(self, step: Step) -> None:
        await asyncio.sleep(step.seconds)
        self._broker.launch()
        await asyncio.to_thread(self._broker.wait_ready)

    async def _cut_confirm(self, _: Step) -> None:
        before = self._proxy.swallowed
        self._proxy.go_deaf()
        await eventually(lambda: self._proxy.swallowed > before, CONFIRM_SECONDS)
        self._proxy.hang_up()

    async def _freeze_broker(self, step: Step) -> None:
        self._broker.pause()
        try:
            await asyncio.sleep(step.seconds)
        finally:
            self._broker.resume()

    async def _alarm(self, step: Step) -> None:
        async with memory_alarm(self._broker):
            await asyncio.sleep(step.seconds)

    async def _delete_stream(self, step: Step) -> None:
        async with somebody_else(self.bus) as channel:
            await channel.queue_delete(Topology(SHARDS).stream(step.which % SHARDS))

    async def _kill_gateway(self, step: Step) -> None:
        gateway = self.gateways[step.which % len(self.gateways)]
        await self.count(gateway)
        await self._kill(gateway)

    async def _kill_publisher(self, step: Step) -> None:
        await self._kill(self.publishers[step.which % len(self.publishers)])

    async def _kill_postgres(self, step: Step) -> None:
        await asyncio.to_thread(self._postgres.kill)
        await asyncio.sleep(step.seconds)
        self._postgres.launch()
        await asyncio.to_thread(self._postgres.wait_ready)

    async def _kill(self, process: Process) -> None:
        process.present.kill()
        process.launch()
        await process.started()


@asynccontextmanager
async def installed(broker: Broker, postgres: Postgres, directory: Path) -> AsyncIterator[Installation]:
    """An installation that runs, and is stopped afterwards."""
    async with proxied(broker.port) as proxy:
        installation = Installation(broker, postgres, proxy, directory)
        try:
            await installation.start()
            yield installation
        finally:
            await asyncio.to_thread(installation.stop)
