"""A log in memory to which happens what happens to logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import NoReturn

from tidings.bus.log import Entry, FromTime, Start, Take
from tidings.bus.memory import MemoryLog
from tidings.errors import LogUnavailable, ReadLost


class UnreliableLog(MemoryLog):
    """Behind its readers' backs a shard is recreated or loses its oldest entries, and readers are cut off or muted."""

    def __init__(self, shards: int) -> None:
        super().__init__(shards)
        self.accepts = True
        self.confirm_seconds = 0.0
        """How long a confirm takes longer than the entry takes to its readers."""
        self.attach_seconds = 0.0
        """How long it takes until a reader is attached."""
        self.behind = 0.0
        """By how much its clock is behind ours, in seconds."""
        self.attached = 0
        self._muted = [asyncio.Event() for _ in range(shards)]
        self._cut = [asyncio.Event() for _ in range(shards)]

    @property
    def can_append(self) -> bool:
        return super().can_append and self.accepts

    async def append(self, shard: int, payload: bytes) -> None:
        if not self.accepts:
            raise LogUnavailable("blocked")
        await super().append(shard, payload)
        await asyncio.sleep(self.confirm_seconds)

    def recreate(self, shard: int) -> None:
        """The shard's log is another one from now on; present readers keep reading the old one."""
        self._shards[shard] = type(self._shards[shard])()

    def trim(self, shard: int, keep: int) -> None:
        """Drop all but the newest entries."""
        stored = self._shards[shard]
        while len(stored.entries) > keep:
            stored.entries.popleft()
            stored.first += 1

    def mute(self, shard: int) -> None:
        """Have present readers of the shard hear nothing any more, and not know it."""
        self._muted[shard].set()
        self._muted[shard] = asyncio.Event()

    def cut(self, shard: int) -> None:
        """Cut present readers of the shard off."""
        self._cut[shard].set()
        self._cut[shard] = asyncio.Event()

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        self.attached += 1
        cut, muted = self._cut[shard], self._muted[shard]
        await asyncio.sleep(self.attach_seconds)
        if isinstance(start, FromTime):
            start = FromTime(start.timestamp + self.behind)

        def heard(entries: Sequence[Entry]) -> Awaitable[None] | None:
            if cut.is_set():
                raise ReadLost("cut")
            return None if muted.is_set() else take(entries)

        following = asyncio.ensure_future(super().follow(shard, start, heard))
        ending = asyncio.ensure_future(cut.wait())
        try:
            await asyncio.wait({following, ending}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                raise ReadLost("cut")
            await following
        finally:
            following.cancel()
            ending.cancel()
            await asyncio.gather(following, ending, return_exceptions=True)
        raise ReadLost("ended")
