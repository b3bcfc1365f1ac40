"""Three nodes, and the one that leads a stream is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from yarl import URL

from tests.faults.test_rabbitmq import ACCOUNT, SHARDS, paired, until
from tests.support.changelog import opened, reading, ready
from tests.support.cluster import Cluster
from tests.support.proxy import proxied
from tidings.bus.log import FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.bus.rabbitmq.topology import Topology
from tidings.wire.batch import decode
from tidings.wire.shard import shard_of

SHARD = shard_of(ACCOUNT, SHARDS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


@pytest.mark.timeout(300)
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
