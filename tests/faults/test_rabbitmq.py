"""Each way in which RabbitMQ fails: what the services do, what they log, what their metrics show.

docs/operate/broker.md has the same as a table.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from yarl import URL

from tests.support.broker import Broker, memory_alarm
from tests.support.changelog import somebody_else
from tests.support.clients import JmapClient, jmap_client
from tests.support.events import tell
from tests.support.metrics import Scrape
from tests.support.processes import Tidings, tidings
from tests.support.proxy import proxied
from tests.support.waiting import patient, within
from tidings.bus.rabbitmq.topology import Topology
from tidings.wire.shard import shard_of

SHARDS = 4
ACCOUNT = "alice"
SECONDS = 30.0
"""How long anything may take."""


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with within(SECONDS):
        while not await condition():
            await asyncio.sleep(0.05)


class Service:
    """A process, and what it said since a test began."""

    def __init__(self, process: Tidings) -> None:
        self.process = process
        self._since = len(process.logs)

    def said(self, event: str, **members: str) -> list[dict[str, Any]]:
        """Log events of this name, whose members contain these texts."""
        return [
            line
            for line in self.process.logs[self._since :]
            if line["event"] == event and all(text in str(line.get(name)) for name, text in members.items())
        ]

    async def says(self, event: str, **members: str) -> None:
        async def said() -> object:
            return self.said(event, **members)

        try:
            await until(said)
        except TimeoutError:
            raise AssertionError(f"{event} {members} was not said, but {self.process.logs}") from None

    async def get(self, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
            return await http.get(self.process.url("probe", path))

    async def scrape(self) -> Scrape:
        return Scrape((await self.get("/metrics")).text)

    async def value(self, name: str, **labels: str) -> float:
        return (await self.scrape()).value(name, **labels)

    async def shows(self, number: float, name: str, **labels: str) -> None:
        async def shown() -> bool:
            return await self.value(name, **labels) == number

        try:
            await until(shown)
        except TimeoutError:
            raise AssertionError(f"{name} {labels} is {await self.value(name, **labels)}, not {number}") from None

    async def reaches(self, number: float, name: str) -> None:
        """Wait until a metric that only grows meanwhile is so great."""

        async def there() -> bool:
            return await self.value(name) >= number

        await until(there)

    async def becomes_ready(self) -> None:
        """Wait until it says that it is ready, which it looks at now and again."""

        async def is_ready() -> bool:
            return (await self.get("/readyz")).status_code == 200

        await until(is_ready)


class Pair:
    """A publisher and a gateway on one broker, and a client that is subscribed."""

    def __init__(self, publisher: Service, gateway: Service, client: JmapClient) -> None:
        self.publisher = publisher
        self.gateway = gateway
        self.client = client

    @property
    def both(self) -> tuple[Service, Service]:
        return self.publisher, self.gateway

    async def acknowledged(self, state: str) -> None:
        """Tell the publisher of a change, which it has to answer for in any weather."""
        await tell(self.publisher.process.url("ingest"), ACCOUNT, state)

    async def spooled(self, state: str) -> None:
        """Tell the publisher of a change that the log does not take: it is kept on disk."""
        await self.acknowledged(state)
        await self.publisher.says("changes wait in the spool")
        assert await self.publisher.value("tidings_spool_changes") > 0

    async def told(self, state: str) -> list[str]:
        """What the client is told until it is told this."""
        states: list[str] = []
        async with within(SECONDS):
            while state not in states:
                states += (await self.client.changed(SECONDS)).get(ACCOUNT, {}).values()
        return states

    async def connected(self) -> None:
        """Wait until both have both connections."""
        for service in self.both:
            await service.shows(2, "tidings_bus_connected")

    async def unharmed(self) -> None:
        """What holds after every fault: clients never noticed, and the next change is told."""
        await self.connected()
        await self.gateway.shows(1, "tidings_feeds_live")
        await self.acknowledged("after")
        await self.told("after")
        await self.publisher.shows(0, "tidings_spool_changes")
        assert (await self.gateway.get("/readyz")).status_code == 200
        assert await self.gateway.value("tidings_connections_closed_total") == 0
        for service in self.both:
            assert service.process.stray == []
            assert [line for line in service.process.logs if line["level"] in ("error", "critical")] == []


@pytest.fixture(scope="module")
def node() -> Iterator[Broker]:
    with Broker(vhosts=16) as broker:
        yield broker


@asynccontextmanager
async def paired(publisher_bus: str, gateway_bus: str, directory: Path) -> AsyncIterator[Pair]:
    """Start both, and wait until a client is subscribed and told."""
    shards = ("--shards", str(SHARDS))
    state = ("--state-dir", str(directory))
    with (
        tidings("publisher", "--bus", publisher_bus, *state, *shards) as publisher,
        tidings("gateway", "--bus", gateway_bus, *shards, "--coalesce-ms", "0") as gateway,
    ):
        url = gateway.url("gateway", f"/jmap/ws?account={ACCOUNT}", "ws")
        async with jmap_client(url) as client:
            await client.send(**{"@type": "WebSocketPushEnable", "dataTypes": None})
            await client.changed(SECONDS)
            pair = Pair(Service(publisher), Service(gateway), client)
            for service in pair.both:
                # A proxy between the service and the broker runs in this loop.
                await asyncio.to_thread(service.process.wait_connected)
            await pair.acknowledged("before")
            await pair.told("before")
            for service in pair.both:
                await service.becomes_ready()
            yield pair


@pytest.fixture
async def pair(node: Broker, tmp_path: Path) -> AsyncIterator[Pair]:
    url = node.fresh_url()
    async with paired(url, url, tmp_path) as pair:
        yield pair


@asynccontextmanager
async def down(node: Broker, how: Callable[[], None]) -> AsyncIterator[None]:
    """The node is down inside, and back afterwards."""
    await asyncio.to_thread(how)
    try:
        yield
    finally:
        node.launch()
        await asyncio.to_thread(node.wait_ready)


async def test_restarted(node: Broker, pair: Pair) -> None:
    async with down(node, node.stop):
        for service in pair.both:
            await service.says("bus unavailable", reason="CONNECTION_FORCED")
            await service.shows(0, "tidings_bus_connected")
            await service.reaches(2, "tidings_bus_failures_total")
        await pair.gateway.says("feed lost")
        await pair.gateway.shows(0, "tidings_feeds_live")
        assert (await pair.gateway.get("/readyz")).status_code == 200
        await pair.spooled("during")
    await pair.told("during")
    await pair.unharmed()
    assert await pair.gateway.value("tidings_feed_gaps_total") == 0


async def test_killed(node: Broker, pair: Pair) -> None:
    async with down(node, node.kill):
        for service in pair.both:
            await service.says("bus unavailable", broker=f"127.0.0.1:{node.port}/")
            await service.shows(0, "tidings_bus_connected")
        await pair.gateway.shows(0, "tidings_feeds_live")
        await pair.spooled("during")
    await pair.told("during")
    await pair.unharmed()
    assert await pair.gateway.value("tidings_feed_gaps_total") == 0


async def test_cut_before_the_confirm(node: Broker, tmp_path: Path) -> None:
    """The batch may be in the log or not: it is appended again, from the spool and with the same id."""
    url = node.fresh_url()
    async with proxied(node.port) as proxy, paired(str(URL(url).with_port(proxy.port)), url, tmp_path) as pair:
        # A confirm that came late has sent a change through the spool before.
        stored = await pair.publisher.value("tidings_spool_stored_changes_total")
        before = proxy.swallowed
        proxy.go_deaf()
        posting = asyncio.create_task(pair.acknowledged("during"))

        async def swallowed() -> bool:
            # More than heartbeats and acknowledgements.
            return proxy.swallowed > before + 100

        await until(swallowed)
        proxy.hang_up()
        await pair.publisher.says("bus unavailable", reason="closed")
        await posting
        assert await pair.publisher.value("tidings_spool_stored_changes_total") == stored + 1
        await pair.told("during")
        await pair.unharmed()


async def test_frozen_and_thawed(node: Broker, pair: Pair) -> None:
    node.pause()
    try:
        await pair.spooled("during")
        await pair.publisher.says("bus unavailable", connection="publish", reason="no answer from the broker in time")
        await pair.publisher.shows(0, "tidings_bus_connected", connection="publish")
        await pair.gateway.says("feed unproven")
        await pair.gateway.reaches(5, "tidings_feed_silence_seconds")
        assert (await pair.gateway.get("/readyz")).status_code == 200
    finally:
        node.resume()
    await pair.told("during")
    await pair.unharmed()


async def test_memory_alarm(node: Broker, pair: Pair) -> None:
    async with memory_alarm(node):
        await pair.spooled("during")
        await pair.publisher.says("bus blocked", reason="memory or disk alarm")
        await pair.publisher.shows(1, "tidings_bus_blocked")
        await pair.publisher.shows(2, "tidings_bus_connected")
        assert await pair.gateway.value("tidings_bus_connected", connection="consume") == 1
        await pair.gateway.says("feed unproven")
        await pair.gateway.reaches(5, "tidings_feed_silence_seconds")
    await pair.publisher.says("bus unblocked")
    await pair.publisher.shows(0, "tidings_bus_blocked")
    await pair.told("during")
    await pair.unharmed()


async def test_a_gateway_that_starts_during_an_alarm_answers_after_it(node: Broker) -> None:
    url = node.fresh_url()
    async with memory_alarm(node):
        with tidings("gateway", "--bus", url, "--shards", str(SHARDS)) as process:
            gateway = Service(process)
            async with jmap_client(process.url("gateway", f"/jmap/ws?account={ACCOUNT}", "ws")) as client:
                await client.send(**{"@type": "WebSocketPushEnable", "dataTypes": None})
                await gateway.shows(1, "tidings_bus_blocked")
                assert await gateway.value("tidings_feeds") == 1
                assert await gateway.value("tidings_feeds_live") == 0
                await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.6")
                assert await client.changed(SECONDS) == {}


async def test_a_stream_deleted_and_declared_again(node: Broker, tmp_path: Path) -> None:
    url = node.fresh_url()
    async with paired(url, url, tmp_path) as pair:
        async with somebody_else(url) as channel:
            await channel.queue_delete(Topology(SHARDS).stream(shard_of(ACCOUNT, SHARDS)))
        await pair.gateway.says("feed lost", reason="cancelled by the broker")
        changed = (await pair.client.changed(SECONDS))[ACCOUNT]
        assert set(changed) == {"Email", "Mailbox", "Thread"}
        assert all(state.startswith("resync-") for state in changed.values())
        await pair.gateway.says("gap in a shard")
        assert await pair.gateway.value("tidings_feed_gaps_total") == 1
        assert await pair.gateway.value("tidings_resyncs_total", reason="gap") == 1
        await pair.unharmed()


async def test_wrong_credentials(node: Broker, tmp_path: Path) -> None:
    password = "not-the-pass-word"
    url = str(URL(node.fresh_url()).with_password(password))
    with (
        tidings("publisher", "--bus", url, "--state-dir", str(tmp_path)) as publisher,
        tidings("gateway", "--bus", url) as gateway,
    ):
        for process in (publisher, gateway):
            service = Service(process)
            service._since = 0
            await service.says("bus unavailable", reason="ACCESS_REFUSED")
            await service.shows(0, "tidings_bus_connected")
            await service.reaches(2, "tidings_bus_failures_total")
            assert (await service.get("/livez")).status_code == 200
            assert password not in str(process.logs)
            assert len(process.events("bus unavailable")) == 1
        assert (await Service(gateway).get("/readyz")).status_code == 503
        await Service(publisher).becomes_ready()
