"""One node becomes three and then five, and two of them die, while changes are appended and read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

from yarl import URL

from tests.support.broker import Broker
from tests.support.changelog import append_at_last, opened, reading, ready
from tests.support.cluster import Cluster
from tests.support.waiting import eventually, within
from tidings.bus.log import ChangeLog, FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import ReadLost

STREAM = Topology(1).stream(0)
SECONDS = 30.0


def several(nodes: Sequence[Broker]) -> str:
    """The URL that names each of them."""
    user, _, _ = nodes[0].url.removesuffix(URL(nodes[0].url).path).rpartition("@")
    return f"{user}@{','.join(f'127.0.0.1:{node.port}' for node in nodes)}/0"


class Use:
    """Changes that a writer appends one after the other, in whatever weather."""

    def __init__(self) -> None:
        self.confirmed: list[bytes] = []
        self._numbers = count()

    async def append(self, log: ChangeLog) -> None:
        payload = b"%d" % next(self._numbers)
        await append_at_last(log, 0, payload, SECONDS)
        self.confirmed.append(payload)

    @asynccontextmanager
    async def going_on(self, log: ChangeLog) -> AsyncIterator[None]:
        """A writer inside."""

        async def write() -> None:
            while True:
                await self.append(log)
                await asyncio.sleep(0.02)

        writer = asyncio.create_task(write())
        try:
            yield
        finally:
            assert not writer.done()
            writer.cancel()
            await asyncio.wait({writer})

    async def is_all_there(self, url: str) -> None:
        """Read all of it, from wherever there is a copy: a new one takes a moment."""
        async with opened(log := RabbitMQLog(url, 1)):
            await ready(log)
            async with within(SECONDS):
                while not await self._read(log):
                    await asyncio.sleep(0.05)

    async def _read(self, log: ChangeLog) -> bool:
        wanted = list(self.confirmed)
        async with reading(log, 0, FromOffset(0)) as reader:
            while wanted[-1] not in reader.payloads:
                try:
                    await reader.until(len(reader.entries) + 1, SECONDS)
                except AssertionError:
                    assert isinstance(reader.ended, ReadLost)
                    return False
            # Others may be among them: the end of a writer cuts an append off, which may be in the log all the same.
            confirmed = set(wanted)
            assert [payload for payload in reader.distinct if payload in confirmed] == wanted
            return True


async def joined(cluster: Cluster, nodes: Sequence[Broker]) -> None:
    """See nodes in, as the guide says: no client comes to them before they have what the others have."""
    for node in nodes:
        await asyncio.to_thread(node.wait_ready)
        await asyncio.to_thread(cluster.nodes[0].wait_coordinates, node.name)
        await asyncio.to_thread(cluster.nodes[0].add_replica, "0", STREAM, node.name)


async def test_one_node_becomes_three_and_five_and_two_die() -> None:
    use = Use()
    with Cluster(1) as cluster:
        first = cluster.nodes[0]
        async with opened(log := RabbitMQLog(first.url, 1)):
            await ready(log)
            async with use.going_on(log):
                for size in (3, 5):
                    await joined(cluster, new := cluster.grow(size - len(cluster.nodes)))
                    for node in new:
                        await use.is_all_there(node.url)
            # Who was connected has noticed nothing.
            assert log.failures == {"publish": 0, "consume": 0}
        async with opened(log := RabbitMQLog(several(cluster.nodes), 1)):
            await ready(log)
            async with use.going_on(log):
                for node in cluster.nodes[:2]:
                    await asyncio.to_thread(node.kill)
                before = len(use.confirmed)
                await eventually(lambda: len(use.confirmed) > before + 1, SECONDS)
                await use.is_all_there(several(cluster.nodes))
