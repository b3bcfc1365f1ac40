"""Three nodes: the one that leads a stream is killed, and one has no copy of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from yarl import URL

from tests.faults.test_rabbitmq import ACCOUNT, SHARDS, paired, until
from tests.support.changelog import opened, reading, ready
from tests.support.cluster import Cluster
from tests.support.proxy import proxied
from tidings.bus.log import FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.bus.rabbitmq.addresses import Address
from tidings.bus.rabbitmq.topology import Topology
from tidings.wire.batch import decode
from tidings.wire.shard import shard_of

SHARD = shard_of(ACCOUNT, SHARDS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3, vhosts=2) as cluster:
        yield cluster


async def test_the_leaders_node_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """The others elect another; nothing that was acknowledged is lost, and nobody has to resynchronise."""
    stream = Topology(SHARDS).stream(SHARD)
    async with proxied(*(node.port for node in cluster.nodes)) as proxy:
        url = str(URL(cluster.nodes[0].url).with_port(proxy.port))
        async with paired(url, url, tmp_path) as pair:
            leaders = await asyncio.to_thread(cluster.leaders)
            assert len(set(leaders.values())) > 1
            leader = leaders[stream]
            await pair.acknowledged("with three")
            await asyncio.to_thread(leader.kill)
            states = [f"with two, {number}" for number in range(20)]
            for state in states:
                await pair.acknowledged(state)
            await pair.told(states[-1])
            survivors = [node for node in cluster.nodes if node is not leader]
            async with opened(log := RabbitMQLog(survivors[0].url, SHARDS)):
                await ready(log)
                async with reading(log, SHARD, FromOffset(0)) as reader:

                    async def read() -> bool:
                        return states[-1] in told()

                    def told() -> list[str | None]:
                        changes = [change for payload in reader.payloads for change in decode(payload).changes]
                        return list(dict.fromkeys(change.changed["Email"] for change in changes))

                    await until(read)
                    assert told() == ["before", "with three", *states]
            assert await pair.gateway.value("tidings_resyncs_total") == 0
            assert await pair.gateway.value("tidings_connections_closed_total") == 0
            leader.launch()
            await asyncio.to_thread(leader.wait_ready)
            await pair.unharmed()


async def test_a_node_without_a_stream_is_left_for_one_that_has_it(cluster: Cluster) -> None:
    """As a node is that joined later: it takes what is published, and gives nothing to read."""
    url = str(URL(cluster.nodes[0].url).with_path("/1"))
    async with opened(log := RabbitMQLog(url, SHARDS)):
        await ready(log)
        await log.append(SHARD, b"x")
    leaders = await asyncio.to_thread(cluster.leaders, "1")
    stream = Topology(SHARDS).stream(SHARD)
    lacking, other = sorted(cluster.nodes[:2], key=lambda node: leaders[stream] is node)
    await asyncio.to_thread(lacking.drop_replica, "1", stream)
    there = [lacking]

    async def resolve(host: str, port: int) -> list[Address]:
        return [Address("127.0.0.1", node.port) for node in there]

    with capture_logs() as lines:
        async with opened(log := RabbitMQLog(url, SHARDS, resolve)):
            await ready(log)
            there.append(other)
            async with reading(log, SHARD, FromOffset(0)) as reader:
                lost = await reader.until_cut_off()
            assert "on the local node" in str(lost)

            async def read() -> bool:
                async with reading(log, SHARD, FromOffset(0)) as reader:
                    with suppress(AssertionError):
                        await reader.until(1)
                    return reader.payloads[:1] == [b"x"]

            await until(read)
            assert log.failures == {"publish": 0, "consume": 1}
    told = [line for line in lines if line["event"] != "bus connected"]
    assert [line["event"] for line in told] == ["bus unavailable"]
    assert "does not serve the stream" in told[0]["reason"]
    assert told[0]["address"] == f"127.0.0.1:{lacking.port}"
    assert [line["address"] for line in lines if line["event"] == "bus connected"][-1] == f"127.0.0.1:{other.port}"
