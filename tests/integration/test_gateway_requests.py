"""The lives of connections and batches, as a real gateway writes them down."""

from __future__ import annotations

import time
from pathlib import Path
from secrets import token_bytes
from typing import Any

import httpx2
import pytest

from asyncio_pprof.traces import Trace
from asyncio_pprof.traces.book import BOUNDS
from tests.support.clients import eventually, jmap_client
from tests.support.gateway import RunningGateway, running_gateway
from tidings.gateway.watching.batch_traces import SLOW_SECONDS
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

CONNECTIONS = "connections"
BATCHES = "batches, gateway"


def done(gateway: RunningGateway, name: str) -> list[Trace]:
    family = gateway.requests.get(name)
    assert family is not None
    return [trace for bucket in range(len(BOUNDS)) for trace in family.done(bucket)]


def stages(trace: Trace) -> list[str]:
    return [stage for _, stage in trace.events]


async def publish_followed(gateway: RunningGateway, account: str, ingested: float) -> None:
    change = Change(account, {"Email": "s"}, "MessageNew", "1", "test", ingested=ingested)
    payload = batch.encode(batch.marked(token_bytes(16), traced=True), ingested + 0.001, (change,))
    await gateway.log.append(shard_of(account, gateway.log.shards), payload)


async def test_the_life_of_a_connection() -> None:
    async with running_gateway() as gateway:
        async with jmap_client(gateway.url()) as client:
            await client.subscribe()
            await eventually(lambda: done(gateway, CONNECTIONS))
            await gateway.publish("alice", {"Email": "s1"})
            await client.changed()
            (trace,) = done(gateway, CONNECTIONS)
            await eventually(lambda: "first push" in stages(trace))
        await eventually(lambda: "closed" in stages(trace)[-1])
        assert trace.title == "/jmap/ws"
        assert stages(trace) == [
            "head",
            "route",
            "authenticated",
            "parked",
            "subscribed",
            "first cursor",
            "first push",
            "closed: client_closed",
        ]
        times = [at for at, _ in trace.events]
        assert times == sorted(times)


async def test_what_is_rejected_or_asked_for_in_a_query_is_not_told() -> None:
    async with running_gateway() as gateway, httpx2.AsyncClient() as client:
        refused = await client.get(gateway.http_url("/jmap/ws", "account=alice&access_token=secret"))
        handed_over = await client.get(gateway.http_url("/secret-path", "access_token=secret"))
        family = gateway.requests.get(CONNECTIONS)
        assert family is not None
        await eventually(lambda: family.rejected())
        (trace,) = family.rejected()
        assert refused.status_code >= 400
        assert handed_over.status_code == 404
        assert trace.title == "/jmap/ws"
        assert stages(trace)[-1].startswith(f"rejected: {refused.status_code} ")
        for kept in (*family.rejected(), *done(gateway, CONNECTIONS)):
            assert "secret" not in repr([kept.title, kept.events])


@pytest.mark.parametrize(
    ("settings", "options"), [({}, {}), ({"host": "unix:gateway"}, {"unix": True, "path": "gateway"})]
)
async def test_the_life_of_a_batch_until_a_clients_kernel_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    # How far away a client's kernel is, only TCP tells. A relative path fits into the address of a Unix socket.
    monkeypatch.chdir(tmp_path)
    # However long this thread is kept from running: what there is no time for in one turn is written in the next.
    monkeypatch.setattr("tidings.gateway.service.WAKE_SECONDS", 60.0)
    async with running_gateway(**settings) as gateway, jmap_client(gateway.url(), **options) as client:
        await client.subscribe()
        await publish_followed(gateway, "alice", time.time() - 0.5)
        await client.changed()
        await eventually(lambda: done(gateway, BATCHES))
        (trace,) = done(gateway, BATCHES)
        appended, consumed, matched, acknowledged = stages(trace)
        assert appended == "appended by the publisher"
        assert consumed == "consumed"
        assert matched == "matched 1 connections, wrote 1; 0 wait"
        assert acknowledged.startswith("acknowledged by the kernel of a client")
        assert trace.latency is not None
        assert trace.latency >= 0.5


async def test_a_batch_that_nobody_waits_for_and_one_that_is_not_followed() -> None:
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        shards = gateway.log.shards
        other = next(name for name in map(str, range(1000)) if shard_of(name, shards) == shard_of("alice", shards))
        await publish_followed(gateway, other, time.time())
        await eventually(lambda: done(gateway, BATCHES))
        (trace,) = done(gateway, BATCHES)
        assert stages(trace)[-1] == "no client here was written to at once"
        change = Change("alice", {"Email": "s"}, "MessageNew", "1", "test")
        payload = batch.encode(batch.marked(token_bytes(16), traced=False), time.time(), (change,))
        await gateway.log.append(shard_of("alice", shards), payload)
        await client.changed()
        assert done(gateway, BATCHES) == [trace]
        slow = batch.encode(batch.marked(token_bytes(16), traced=False), time.time() - SLOW_SECONDS, (change,))
        await gateway.log.append(shard_of("alice", shards), slow)
        await eventually(lambda: len(done(gateway, BATCHES)) == 2)
