"""The log in this process: the default of `tidings up`, and the tests' oracle."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from itertools import islice
from typing import NoReturn

from tidings.bus.log import Entry, FromOffset, Start, Take
from tidings.bus.reading import one_by_one
from tidings.errors import LogUnavailable, ReadLost

MAX_AGE_SECONDS = 3600.0
MAX_ENTRIES = 10_000
"""Per shard; with markers every 2-3 s an idle shard keeps less than this in an hour."""
MAX_BYTES = 16 * 1024 * 1024
"""Per shard, of payloads: full batches come to that long before their number does."""


class _Shard:
    __slots__ = ("bytes", "entries", "first", "grown")

    def __init__(self) -> None:
        self.entries: deque[tuple[float, bytes]] = deque()
        self.bytes = 0
        self.first = 0
        self.grown = asyncio.Event()

    def append(self, now: float, payload: bytes) -> None:
        self.entries.append((now, payload))
        self.bytes += len(payload)
        while len(self.entries) > 1 and self._is_too_much(now):
            _, dropped = self.entries.popleft()
            self.bytes -= len(dropped)
            self.first += 1
        self.wake()

    def _is_too_much(self, now: float) -> bool:
        oldest, _ = self.entries[0]
        return len(self.entries) > MAX_ENTRIES or self.bytes > MAX_BYTES or oldest < now - MAX_AGE_SECONDS

    def wake(self) -> None:
        self.grown.set()
        self.grown = asyncio.Event()

    def next_offset(self, start: Start) -> int:
        if isinstance(start, FromOffset):
            return start.offset
        # The first that is young enough, and no count of the older: the clock may have been set back between.
        recent = (index for index, (appended, _) in enumerate(self.entries) if appended >= start.timestamp)
        return self.first + next(recent, len(self.entries))

    def since(self, offset: int) -> list[Entry]:
        """What there is from this offset on."""
        # From the newest back: who follows lacks the last few, and the way from the oldest is long.
        newest = [*islice(reversed(self.entries), max(0, self.first + len(self.entries) - offset))]
        return [Entry(number, payload) for number, (_, payload) in enumerate(reversed(newest), offset)]


class MemoryLog:
    """A ChangeLog that lives and dies with the process."""

    def __init__(self, shards: int) -> None:
        self._shards = [_Shard() for _ in range(shards)]
        self._open = False

    @property
    def shards(self) -> int:
        return len(self._shards)

    @property
    def down(self) -> Mapping[str, str]:
        """None: there are no connections."""
        return {}

    @property
    def alarm(self) -> str | None:
        return None

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

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        """Hand over entries. Raises ReadLost when the log closes or has dropped what comes next."""
        log = self._shards[shard]
        offset = max(log.first, log.next_offset(start))
        while self._open:
            grown = log.grown
            if offset < log.first:
                raise ReadLost("the reader fell behind what the log keeps")
            entries = log.since(offset)
            if entries:
                offset += len(entries)
                busy = take(entries)
                if busy is not None:
                    await busy
            if log.grown is grown:
                await grown.wait()
        raise ReadLost("the memory log is closed")

    def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield entries one by one: see `follow`."""
        return one_by_one(lambda take: self.follow(shard, start, take))
