"""A log opened for a test, and readers that collect what it delivers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aio_pika import Connection
from aio_pika.abc import AbstractChannel
from aio_pika.connection import make_url

from tests.support.waiting import eventually, promised, within
from tidings.bus.log import ChangeLog, Entry, Start
from tidings.errors import LogError, LogUnavailable, ReadLost

CLOSE_SECONDS = 2.0
"""What `close` promises, whatever the broker does."""
AT_ONCE = 100


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fail when what runs inside leaves a task, or an error that nobody retrieved."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    before = asyncio.all_tasks()
    yield
    # A fixture is torn down in another task than it was set up in. What ends with its connection takes a moment to.
    await eventually(lambda: asyncio.all_tasks() - before <= {asyncio.current_task()}, seconds=1)
    gc.collect()
    assert unheard == []


@asynccontextmanager
async def opened(log: ChangeLog) -> AsyncIterator[ChangeLog]:
    """Open the log, and close it in the time that it promises."""
    await log.open()
    try:
        yield log
    finally:
        async with asyncio.timeout(promised(CLOSE_SECONDS)):
            await log.close()


async def ready(log: ChangeLog) -> None:
    """Return once the log takes appends and reads."""
    await eventually(lambda: log.can_append and log.can_read)


async def append_all(log: ChangeLog, shard: int, payloads: Sequence[bytes]) -> None:
    """Append many at the same time, but no more than a busy broker confirms before the log gives up."""
    for first in range(0, len(payloads), AT_ONCE):
        await asyncio.gather(*(log.append(shard, payload) for payload in payloads[first : first + AT_ONCE]))


async def append_at_last(log: ChangeLog, shard: int, payload: bytes, seconds: float = 15.0) -> None:
    """Append, again for as long as the log is unavailable."""
    async with within(seconds):
        while True:
            try:
                return await log.append(shard, payload)
            except LogUnavailable:
                await asyncio.sleep(0.05)


class Reader:
    """Collects a shard's entries; `ended` is why it was cut off."""

    def __init__(self, log: ChangeLog, shard: int, start: Start) -> None:
        self.entries: list[Entry] = []
        self.ended: LogError | None = None
        self._progress = asyncio.Event()
        self._task = asyncio.create_task(self._collect(log, shard, start), name="test reader")

    async def _collect(self, log: ChangeLog, shard: int, start: Start) -> None:
        try:
            async with aclosing(log.read(shard, start)) as entries:
                async for entry in entries:
                    self.entries.append(entry)
                    self._progress.set()
        except ReadLost as error:
            self.ended = error
        finally:
            self._progress.set()

    @property
    def payloads(self) -> list[bytes]:
        return [entry.payload for entry in self.entries]

    @property
    def distinct(self) -> list[bytes]:
        """The payloads, each once, in the order in which each came first.

        An append whose confirm is lost is repeated, so that a log may hold a payload twice. An append that is cancelled
        may be in the log without a confirm.
        """
        return list(dict.fromkeys(self.payloads))

    @property
    def offsets(self) -> list[int]:
        return [entry.offset for entry in self.entries]

    async def until(self, count: int, seconds: float = 15.0) -> None:
        """Return once that many entries are here; fail when cut off before or in the time."""
        async with within(seconds):
            while len(self.entries) < count:
                assert not self._task.done(), f"{len(self.entries)} of {count} entries, then {self.ended!r}"
                self._progress.clear()
                await self._progress.wait()

    async def until_cut_off(self, seconds: float = 15.0) -> ReadLost:
        """Return the ReadLost that ended the reading."""
        async with within(seconds):
            await asyncio.wait({self._task})
        assert isinstance(self.ended, ReadLost)
        return self.ended

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


@asynccontextmanager
async def reading(log: ChangeLog, shard: int, start: Start) -> AsyncIterator[Reader]:
    reader = Reader(log, shard, start)
    try:
        yield reader
    finally:
        await reader.stop()


@asynccontextmanager
async def somebody_else(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of another program on the same broker."""
    connection = Connection(make_url(url))
    await connection.connect()
    try:
        yield await connection.channel()
    finally:
        await connection.close()
