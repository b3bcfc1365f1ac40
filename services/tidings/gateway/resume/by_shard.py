"""Work by shard: at most one task for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class ByShard:
    """Runs `serve` for each shard that has something to do, until it returns; `name` is that of its tasks."""

    def __init__(self, name: str, serve: Callable[[int], Coroutine[object, object, None]]) -> None:
        self._name = name
        self._serve = serve
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, shard: int) -> None:
        """Serve a shard, unless that is under way."""
        if shard not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._run(shard), name=f"{self._name}-{shard}")
            self._tasks[shard] = task

    async def stop(self) -> None:
        """End all of it."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, shard: int) -> None:
        try:
            await self._serve(shard)
        finally:
            del self._tasks[shard]
