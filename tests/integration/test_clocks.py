"""Clocks that are wrong, and that are set while somebody goes by them: a real broker, processes with another clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.broker import Broker
from tests.support.changelog import opened, reading, ready
from tests.support.clients import JmapClient, jmap_client
from tests.support.clocks import WallClock
from tests.support.connections import accounts_of
from tests.support.events import tell
from tests.support.metrics import Scrape
from tests.support.processes import Tidings
from tests.support.waiting import eventually, patient, within
from tidings.bus.log import FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.wire.batch import decode

SHARDS = 8
DEADLINE = 60.0
"""Nobody waits for so long, on a machine that does nothing else."""
STEPS = (3600.0, -3600.0, 0.0, 365 * 86_400.0, 0.0)
DIFFERS = "the clock of this gateway differs from the clock of the log"


class Installation:
    """A gateway and a publisher, each with the environment that it is given, and what clients are told."""

    def __init__(self, gateway: Tidings, publisher: Tidings) -> None:
        self.gateway = gateway
        self.publisher = publisher
        self.number = 0

    async def change(self, account: str) -> str:
        """Tell the publisher of a change; its state."""
        self.number += 1
        state = f"s{self.number}"
        await tell(self.publisher.url("ingest"), account, state)
        return state

    @asynccontextmanager
    async def client(self, account: str) -> AsyncIterator[JmapClient]:
        async with jmap_client(self.gateway.url("gateway", f"/jmap/ws?account={account}", "ws")) as client:
            yield client

    async def subscribed(self, client: JmapClient, since: str | None = None) -> dict[str, dict[str, str]]:
        """Subscribe; what was missed."""
        await client.send(**{"@type": "WebSocketPushEnable", "dataTypes": ["Email"], "pushState": since})
        return await client.changed(DEADLINE)

    async def scrape(self) -> Scrape:
        async with httpx2.AsyncClient(timeout=patient(DEADLINE)) as http:
            return Scrape((await http.get(self.gateway.url("probe", "/metrics"))).text)

    async def assert_nothing_was_lost(self) -> None:
        scrape = await self.scrape()
        assert scrape.value("tidings_feed_gaps_total") == 0
        assert not any(scrape.by("tidings_resyncs_total", "reason").values())

    async def told_of(self, event: str, count: int) -> list[float]:
        """By how much the gateway's log says that its clock differs, once it has said so this often."""
        await eventually(lambda: len(self.gateway.events(event)) >= count, seconds=DEADLINE)
        return [line["ahead_seconds"] for line in self.gateway.events(event)]


@pytest.fixture
async def install(bus_url: str, tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    async with AsyncExitStack() as stack:

        async def start(command: str, clock: WallClock | None, *flags: str) -> Tidings:
            environment = clock.environment if clock is not None else {}
            running = Tidings(command, "--bus", bus_url, "--shards", str(SHARDS), *flags, env=environment)
            stack.push_async_callback(asyncio.to_thread, running.stop)
            await asyncio.to_thread(running.wait_started)
            await asyncio.to_thread(running.wait_connected)
            return running

        async def install(gateway: WallClock | None = None, publisher: WallClock | None = None) -> Installation:
            both = (
                start("gateway", gateway, "--auth", "none"),
                start("publisher", publisher, "--state-dir", str(tmp_path / "state")),
            )
            return Installation(*await asyncio.gather(*both))

        yield install


@pytest.mark.parametrize("ahead", [400.0, -3600.0])
async def test_a_gateway_whose_clock_is_wrong_answers_everybody_and_says_so_once(
    install: Callable[..., object], tmp_path: Path, ahead: float
) -> None:
    tidings = await install(gateway=WallClock(tmp_path, ahead))  # type: ignore[misc]
    assert isinstance(tidings, Installation)
    alice, bob = (accounts_of(shard, SHARDS)[0] for shard in (0, 1))
    async with tidings.client(alice) as client:
        assert await tidings.subscribed(client) == {}
        state = await tidings.change(alice)
        assert await client.changed(DEADLINE) == {alice: {"Email": state}}
        cursor = client.cursor
    missed = await tidings.change(alice)
    async with tidings.client(alice) as client:
        assert await tidings.subscribed(client, cursor) == {alice: {"Email": missed}}
        (told,) = await tidings.told_of(DIFFERS, 1)
        assert told == pytest.approx(ahead, abs=5)
        assert (await tidings.scrape()).value("tidings_clock_skew_seconds") == pytest.approx(ahead, abs=5)
        assert (await tidings.scrape()).value("tidings_feed_lag_seconds", shard="0") < DEADLINE
    # A window that is built now goes back as far as it should.
    state = await tidings.change(bob)
    async with tidings.client(bob) as client:
        assert await tidings.subscribed(client) == {}
        async with httpx2.AsyncClient(timeout=patient(DEADLINE)) as http, within(DEADLINE):
            page: dict[str, Any] = {}
            # A main loop that is busy for longer than the page waits for it is an answer too.
            while "changes" not in page:
                page = (await http.get(tidings.gateway.url("admin", f"/debug/accounts/{bob}?seconds=600"))).json()
        assert [change["changed"] for change in page["changes"]] == [{"Email": state}]
    assert len(tidings.gateway.events(DIFFERS)) == 1
    await tidings.assert_nothing_was_lost()


async def test_a_gateways_clock_may_be_set_while_it_runs(install: Callable[..., object], tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    tidings = await install(gateway=clock)  # type: ignore[misc]
    assert isinstance(tidings, Installation)
    alice = accounts_of(0, SHARDS)[0]
    told = 0
    async with tidings.client(alice) as client:
        await tidings.subscribed(client)
        for shard, ahead in enumerate(STEPS, 1):
            cursor = client.cursor
            clock.set(ahead)
            if ahead:
                told += 1
                assert (await tidings.told_of(DIFFERS, told))[-1] == pytest.approx(ahead, abs=5)
            state = await tidings.change(alice)
            assert await client.changed(DEADLINE) == {alice: {"Email": state}}
            fresh = accounts_of(shard, SHARDS)[0]
            async with tidings.client(alice) as back, tidings.client(fresh) as new:
                assert await tidings.subscribed(back, cursor) == {alice: {"Email": state}}
                assert await tidings.subscribed(new) == {}
    await tidings.assert_nothing_was_lost()


async def test_a_publishers_clock_may_be_wrong_and_set_while_it_runs(
    install: Callable[..., object], tmp_path: Path
) -> None:
    """What a window holds, and for how long, is none of its business."""
    clock = WallClock(tmp_path)
    tidings = await install(publisher=clock)  # type: ignore[misc]
    assert isinstance(tidings, Installation)
    alice = accounts_of(0, SHARDS)[0]
    async with tidings.client(alice) as client:
        await tidings.subscribed(client)
        first = client.cursor
        for ahead in STEPS:
            clock.set(ahead)
            state = await tidings.change(alice)
            assert await client.changed(DEADLINE) == {alice: {"Email": state}}
            async with tidings.client(alice) as back:
                assert await tidings.subscribed(back, first) == {alice: {"Email": state}}
    scrape = await tidings.scrape()
    assert scrape.value("tidings_resumes_total", outcome="replayed_window") == len(STEPS)
    assert tidings.gateway.events(DIFFERS) == []
    await tidings.assert_nothing_was_lost()


class TestDrain:
    @pytest.fixture
    def clock(self, tmp_path: Path) -> WallClock:
        return WallClock(tmp_path)

    @pytest.fixture
    def publish(self, own_broker: Broker, clock: WallClock, tmp_path: Path) -> Iterator[Callable[[], Tidings]]:
        """Starts a publisher on the same bus and state directory as the one before it."""
        url = own_broker.fresh_url()
        flags = ("--bus", url, "--shards", str(SHARDS), "--state-dir", str(tmp_path / "state"))
        with ExitStack() as stack:

            def publish() -> Tidings:
                running = Tidings("publisher", *flags, env=clock.environment)
                stack.callback(lambda: running.kill() if running.process.returncode is None else None)
                running.wait_started()
                return running

            yield publish

    async def test_a_spool_is_drained_in_order_whatever_the_clock_does(
        self, own_broker: Broker, clock: WallClock, publish: Callable[[], Tidings]
    ) -> None:
        publisher = publish()
        await asyncio.to_thread(publisher.wait_connected)
        url = publisher_bus(publisher)
        alice = accounts_of(0, SHARDS)[0]
        async with opened(RabbitMQLog(url, SHARDS)) as log:
            await ready(log)
        tidings = Installation(publisher, publisher)
        states = [await tidings.change(alice)]
        await asyncio.to_thread(own_broker.stop)
        for ahead in (3600.0, -3600.0, 86_400.0, 0.0):
            clock.set(ahead)
            states.append(await tidings.change(alice))
        clock.set(-7200.0)
        publisher.kill()
        tidings.publisher = publisher = publish()
        states.append(await tidings.change(alice))
        own_broker.launch()
        await asyncio.to_thread(own_broker.wait_ready)
        clock.set(7200.0)
        await asyncio.to_thread(publisher.wait, lambda: publisher.events("the spool is empty again"), 60)
        states.append(await tidings.change(alice))
        async with opened(RabbitMQLog(url, SHARDS)) as log:
            await ready(log)
            async with reading(log, 0, FromOffset(0)) as reader:

                def told() -> list[str | None]:
                    return [
                        change.changed["Email"] for payload in reader.payloads for change in decode(payload).changes
                    ]

                # Not after so many entries: one may tell of several changes, and two of the same change.
                await eventually(lambda: states[-1] in told(), DEADLINE)
                assert list(dict.fromkeys(told())) == states
        assert await asyncio.to_thread(publisher.stop) == 0


def publisher_bus(publisher: Tidings) -> str:
    """The URL that a process was started with."""
    arguments = [str(part) for part in publisher.process.args]  # type: ignore[union-attr]
    return arguments[arguments.index("--bus") + 1]
