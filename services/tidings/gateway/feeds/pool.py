"""Which feeds are needed: they come with the first connection of a shard and go a while after the last."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from tidings.gateway.feeds.window import Window

LINGER_SECONDS: Final = 180.0
"""How long a feed outlives its last connection."""


class Proof(NamedTuple):
    """A marker that came back: where it is in the log, and when it was sent, on the monotonic clock in seconds."""

    shard: int
    offset: int
    sent: float


class Feed(Protocol):
    """A reader of one shard, as seen from here."""

    @property
    def live(self) -> bool:
        """Whether it delivers now."""

    @property
    def window(self) -> Window:
        """The batches of the last minutes."""

    @property
    def lag(self) -> float:
        """Seconds from handing its newest batch to the log to consuming it."""

    @property
    def silence(self) -> float:
        """For how many seconds the log has delivered nothing; all of the reader's life, where it never has."""

    def start(self) -> None:
        """Attach."""

    async def stop(self) -> None:
        """Detach."""

    async def prove(self) -> Proof | None:
        """Return once everything that was in the log when this was called has been read; None of a stopped feed."""


class Demand:
    """Counts connections by shard and keeps the feeds to match, by shard in `feeds`."""

    def __init__(self, make_feed: Callable[[int], Feed]) -> None:
        self.feeds: dict[int, Feed] = {}
        self._make_feed = make_feed
        self._count: defaultdict[int, int] = defaultdict(int)
        self._lingering: dict[int, asyncio.TimerHandle] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    def add(self, shards: Iterable[int]) -> None:
        """One more connection needs these."""
        for shard in shards:
            self._count[shard] += 1
            if shard in self._lingering:
                self._lingering.pop(shard).cancel()
            if shard not in self.feeds:
                self.feeds[shard] = feed = self._make_feed(shard)
                feed.start()

    def remove(self, shards: Iterable[int]) -> None:
        """One connection less needs these."""
        loop = asyncio.get_running_loop()
        for shard in shards:
            self._count[shard] -= 1
            if not self._count[shard]:
                self._lingering[shard] = loop.call_later(LINGER_SECONDS, self._detach, shard)

    def _detach(self, shard: int) -> None:
        del self._lingering[shard]
        task = asyncio.get_running_loop().create_task(self.feeds.pop(shard).stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def stop(self) -> None:
        for lingering in self._lingering.values():
            lingering.cancel()
        await asyncio.gather(*(feed.stop() for feed in self.feeds.values()), *self._stopping)
        self.feeds.clear()
