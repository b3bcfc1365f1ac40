"""Cursors that are ahead of what has been read here: they wait for a marker, so few a second and shard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tidings.gateway.feeds.pool import Feed
from tidings.gateway.model.connection import Connection
from tidings.gateway.resume.by_shard import ByShard

PAUSE_SECONDS: Final = 0.2
"""From one marker of a shard to the next one, at the least."""


class Proofs:
    """Has a shard's feed prove how far the log goes, once for all who ask meanwhile.

    A connection has one place per shard. `proven` is told who asked before a proof began that is over now.
    """

    def __init__(self, feeds: Mapping[int, Feed], proven: Callable[[int, list[Connection]], None]) -> None:
        self.begun = 0
        self._feeds = feeds
        self._proven = proven
        self._asking: dict[int, dict[Connection, int]] = {}
        """By shard: the number of the proof that each waits for."""
        self._next: dict[int, int] = {}
        self._due: dict[int, float] = {}
        self._tasks = ByShard("proof", self._serve)

    def ask(self, shard: int, connection: Connection) -> None:
        """Have `proven` called for a connection once all is read that was in this shard's log when it asked."""
        self._asking.setdefault(shard, {}).setdefault(connection, self._next.get(shard, 0))
        self._tasks.start(shard)

    def forget(self, connection: Connection, shards: Iterable[int]) -> None:
        for shard in shards:
            asking = self._asking.get(shard, {})
            asking.pop(connection, None)
            if not asking:
                self._asking.pop(shard, None)

    async def stop(self) -> None:
        await self._tasks.stop()

    async def _serve(self, shard: int) -> None:
        loop = asyncio.get_running_loop()
        # No feed: it has ended, and so have all that waited for it.
        while shard in self._asking and shard in self._feeds:
            pause = self._due.get(shard, 0.0) - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
                continue
            self._due[shard] = loop.time() + PAUSE_SECONDS
            await self._prove(shard, self._feeds[shard])

    async def _prove(self, shard: int, feed: Feed) -> None:
        # Whoever asks from here on is proven nothing: its cursor may be of a later batch.
        number = self._next.get(shard, 0)
        self._next[shard] = number + 1
        self.begun += 1
        await feed.prove()
        asking = self._asking.get(shard, {})
        proven = [connection for connection, asked in asking.items() if asked <= number]
        for connection in proven:
            self.forget(connection, (shard,))
        self._proven(shard, proven)
