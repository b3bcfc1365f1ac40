"""The log in this process: the default of `tidings up`, and the tests' oracle."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator

from tidings.bus.log import Entry, FromOffset, Start
from tidings.errors import LogUnavailable, ReadLost

MAX_AGE_SECONDS = 3600.0
MAX_ENTRIES = 10_000
"""Per shard; with markers every 2-3 s an idle shard keeps less than this in an hour."""


class _Shard:
    __slots__ = ("entries", "first", "grown")

    def __init__(self) -> None:
        self.entries: deque[tuple[float, bytes]] = deque()
        self.first = 0
        self.grown = asyncio.Event()

    def append(self, now: float, payload: bytes) -> None:
        self.entries.append((now, payload))
        while len(self.entries) > MAX_ENTRIES or self.entries[0][0] < now - MAX_AGE_SECONDS:
            self.entries.popleft()
            self.first += 1
        self.wake()

    def wake(self) -> None:
        self.grown.set()
        self.grown = asyncio.Event()

    def next_offset(self, start: Start) -> int:
        if isinstance(start, FromOffset):
            return start.offset
        # The first that is young enough, and no count of the older: the clock may have been set back between.
        recent = (index for index, (appended, _) in enumerate(self.entries) if appended >= start.timestamp)
        return self.first + next(recent, len(self.entries))


class MemoryLog:
    """A ChangeLog that lives and dies with the process."""

    def __init__(self, shards: int) -> None:
        self._shards = [_Shard() for _ in range(shards)]
        self._open = False

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    @property
    def can_append(self) -> bool:
        """Whether the log is open."""
        return self._open

    @property
    def can_read(self) -> bool:
        """Whether the log is open."""
        return self._open

    async def open(self) -> None:
        """Accept appends and reads from now on."""
        self._open = True

    async def close(self) -> None:
        """End every reader with ReadLost."""
        self._open = False
        for shard in self._shards:
            shard.wake()

    async def append(self, shard: int, payload: bytes) -> None:
        """Append; confirmed at once. Raises LogUnavailable when closed."""
        if not self._open:
            raise LogUnavailable("the memory log is closed")
        self._shards[shard].append(time.time(), payload)

    async def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield entries from `start` on. Raises ReadLost when the log closes or has dropped what comes next."""
        log = self._shards[shard]
        offset = max(log.first, log.next_offset(start))
        while self._open:
            grown = log.grown
            while offset < log.first + len(log.entries):
                if offset < log.first:
                    raise ReadLost("the reader fell behind what the log keeps")
                yield Entry(offset, log.entries[offset - log.first][1])
                offset += 1
            if log.grown is grown:
                await grown.wait()
        raise ReadLost("the memory log is closed")
