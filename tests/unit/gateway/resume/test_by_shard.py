from __future__ import annotations

import asyncio

from tests.support.waiting import eventually
from tidings.gateway.resume.by_shard import ByShard


class Served:
    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.open = asyncio.Event()
        self.shards = ByShard("work", self._serve)

    async def _serve(self, shard: int) -> None:
        self.begun.append(shard)
        try:
            await self.open.wait()
        finally:
            self.ended.append(shard)


async def test_a_shard_is_served_by_one_task_and_again_once_that_has_ended() -> None:
    served = Served()
    for shard in (1, 1, 2, 1):
        served.shards.start(shard)
    await eventually(lambda: served.begun == [1, 2])
    assert {task.get_name() for task in asyncio.all_tasks()} >= {"work-1", "work-2"}
    served.open.set()
    await eventually(lambda: served.ended == [1, 2])
    served.shards.start(1)
    await eventually(lambda: served.begun == [1, 2, 1])


async def test_stopping_ends_what_is_under_way() -> None:
    served = Served()
    served.shards.start(1)
    await eventually(lambda: served.begun)
    await served.shards.stop()
    assert served.ended == [1]
