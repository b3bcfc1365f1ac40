"""The spool: what the log does not take now waits on disk, in order, and the sender has its answer.

A shard with anything in the spool is held: all that comes for it later goes behind, into the spool as well, until the
last entry has been confirmed by the log and its removal is on disk. Only then may a change take the direct way again,
so that after a crash too nothing old is appended behind something newer. A disk that is full takes no removal, but a
mark that says as much (marks.py): no shard is held for longer than the log needs to take what is in the file.

SQLite runs in one thread. Whatever asks for a commit while one runs shares the next: one fsync for all of them.

What the counters say of the file changes in the order in which the thread changes the file: where a commit has ended,
where entries were marked, and where the file was opened again and counted. After a failure only the file knows what it
holds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import structlog

from tidings.errors import LogFull, SettingsError, SpoolUnavailable
from tidings.ops.outage import Outage, Stage, Told
from tidings.publisher.metrics import SpoolMetrics
from tidings.publisher.spool.file import Contents, Entry, SpoolFile
from tidings.publisher.troubles import SpoolState

MENDED_SECONDS: Final = 2.0
"""Between two looks at whether a file that failed can be written again."""
LAST_ENTRIES: Final = 4
LEAVING_SECONDS: Final = 0.5
"""How long the last few entries of a shard may take to leave before something goes behind them."""
ROOM: Final = 0.9
"""A spool that was full has room again when no more than this part of it is."""

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Write:
    """Waits for the next commit: entries to store, or to discard."""

    stored: Sequence[Entry]
    discarded: Sequence[Entry]
    done: asyncio.Future[None]


class Spool:
    """Holds at most `capacity` bytes of batches."""

    name = "spool"

    def __init__(self, file: SpoolFile, capacity: int, metrics: SpoolMetrics) -> None:
        self._file = file
        self._capacity = capacity
        self._metrics = metrics
        self._entries: Counter[int] = Counter()
        self._leaving: dict[int, asyncio.Event] = {}
        self._changes = 0
        self._bytes = 0
        self._last_id = 0
        self._stocks = 0
        """How often the file was counted."""
        self._refused = 1
        """The size of the batch for which there was no room last."""
        self._oldest: float | None = None
        self._failure: str | None = None
        self._broken = Outage()
        self._full = Outage()
        self._waiting: list[_Write] = []
        self._committing: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "spool")
        metrics.capacity.set(capacity)
        metrics.changes.set_function(lambda: self._changes)
        metrics.bytes.set_function(lambda: self._bytes)
        metrics.oldest_seconds.set_function(self._age)

    async def start(self) -> None:
        """Open the file. Raises SettingsError when it cannot be used."""
        try:
            self._take_stock(await self._call(self._file.open))
        except BaseException:
            self._thread.shutdown()
            raise
        if self._changes:
            _log.warning("spool holds changes of an earlier run", changes=self._changes, bytes=self._bytes)

    async def stop(self) -> None:
        """Write down what waits, and let go of the file. What it holds is delivered after the next start."""
        if self._mending is not None:
            self._mending.cancel()
        if self._committing is not None:
            await self._committing
        await self._call(self._file.close)
        self._thread.shutdown()
        if self._changes:
            _log.warning("spool keeps changes for the next start", changes=self._changes, bytes=self._bytes)

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def holds(self, shard: int) -> bool:
        """Whether anything of this shard is in the spool, or on its way into it or out of it."""
        return shard in self._entries

    async def leaves(self, shard: int) -> None:
        """Return when nothing of a shard is held any more, if that is a matter of its last few entries; soon anyhow.

        Whatever is stored meanwhile keeps the shard held: on a slow disk a busy shard would not get out any more.
        """
        if 0 < self._entries.get(shard, 0) <= LAST_ENTRIES:
            left = self._leaving.setdefault(shard, asyncio.Event())
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVING_SECONDS):
                    await left.wait()

    @property
    def shards(self) -> list[int]:
        """The shards that are held."""
        return list(self._entries)

    @property
    def accepts(self) -> bool:
        """Whether there is room, and the file can be written as far as known."""
        return self._failure is None and self._bytes < self._capacity

    @property
    def state(self) -> SpoolState:
        """How it stands with the spool. May be read from another thread."""
        full = self._bytes + self._refused > self._capacity
        return SpoolState(self._changes, self._bytes, self._capacity, self._age(), self._failure, full)

    async def store(self, shard: int, batch: bytes, changes: int) -> None:
        """Return when the batch is on disk, behind all that was stored for its shard before.

        Raises LogFull when there is no room: nothing is kept. Raises SpoolUnavailable when the file cannot be written:
        what a commit that failed has left on the disk all the same is delivered, and until that is known nothing
        overtakes it.
        """
        entry = Entry(self._last_id + 1, shard, time.time(), changes, batch)
        if self._bytes + entry.size > self._capacity:
            self._refused = entry.size
            self._metrics.refused.labels("full").inc(changes)
            self._tell_full(self._full.failed(time.monotonic()))
            raise LogFull(f"the spool is full ({self._changes} changes)")
        self._last_id = entry.id
        try:
            await self._write([entry], [])
        except SpoolUnavailable:
            self._metrics.refused.labels("failed").inc(changes)
            raise
        self._metrics.stored.inc(changes)

    async def read(self, shard: int) -> list[Entry]:
        """The oldest entries of a shard that are on disk, in order. Raises SpoolUnavailable when the file fails."""
        try:
            return await self._call(lambda: self._file.read(shard))
        except sqlite3.Error as error:
            self._failed(error)
            raise SpoolUnavailable(f"the spool cannot be read: {error}") from error

    async def discard(self, entries: Sequence[Entry]) -> None:
        """Return when the oldest entries of a shard, which the log has confirmed, are gone from the disk.

        Raises SpoolUnavailable when it takes neither their removal nor a mark: then they are still there.
        """
        stocks = self._stocks
        try:
            await self._write([], entries)
        except SpoolUnavailable:
            if entries:
                await self._mark(entries, stocks)
        if self._full.lasts and self._bytes <= self._capacity * ROOM:
            self._tell_full(self._full.mended(time.monotonic()))

    async def _mark(self, entries: Sequence[Entry], stocks: int) -> None:
        """Mark entries, which were counted as long as no stock was taken since."""
        last = entries[-1]
        try:
            hidden = await self._call(partial(self._file.mark, last.shard, last.id))
        except OSError as error:
            raise SpoolUnavailable(f"the spool cannot be written: {error}") from error
        if hidden is not None:
            # Of a commit that failed, the file may have kept the removal.
            self._add(last.shard, -hidden.entries, -hidden.changes, -hidden.bytes)
        elif stocks == self._stocks:
            self._uncount(entries)

    def _add(self, shard: int, entries: int, changes: int, size: int) -> None:
        self._entries[shard] += entries
        if not self._entries[shard]:
            del self._entries[shard]
            self._tell_left(shard)
        self._changes += changes
        self._bytes += size

    def _uncount(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._add(entry.shard, -1, -entry.changes, -entry.size)

    def _tell_left(self, shard: int) -> None:
        if (left := self._leaving.pop(shard, None)) is not None:
            left.set()

    def _take_stock(self, contents: Contents) -> None:
        self._stocks += 1
        self._entries = Counter(contents.entries)
        for shard in self._leaving.keys() - self._entries.keys():
            self._tell_left(shard)
        self._changes = contents.changes
        self._bytes = contents.bytes
        # Never an id twice, also in a file that takes the place of a damaged one: the time is above all earlier ones.
        self._last_id = max(self._last_id, contents.last_id, time.time_ns())

    def _age(self) -> float:
        # The wall clock may be set back meanwhile. What is marked may still be in the file.
        return 0.0 if self._oldest is None or not self._changes else max(0.0, time.time() - self._oldest)

    async def _write(self, stored: Sequence[Entry], discarded: Sequence[Entry]) -> None:
        # While the file is being looked at, nothing is on its way into it: it holds what it is found to hold.
        if self._failure is not None:
            raise SpoolUnavailable(f"the spool cannot be written: {self._failure}")
        for entry in stored:
            self._add(entry.shard, 1, entry.changes, entry.size)
        write = _Write(stored, discarded, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(), name="spool commit")
        await write.done

    async def _commit(self) -> None:
        """One commit after the other for as long as any is asked for."""
        while self._waiting:
            writes, self._waiting = self._waiting, []
            if self._failure is not None:
                # The file is about to say what it holds. What came after that would not be counted.
                self._settle(writes, self._failure)
                continue
            try:
                self._oldest = await self._call(partial(self._apply, writes))
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                self._failed(error)
                self._settle(writes, str(error))
            else:
                for write in writes:
                    self._uncount(write.discarded)
                self._settle(writes, None)
        self._committing = None

    def _apply(self, writes: Sequence[_Write]) -> float | None:
        return self._file.write(
            [entry for write in writes for entry in write.stored],
            [entry.id for write in writes for entry in write.discarded],
        )

    def _settle(self, writes: Sequence[_Write], error: str | None) -> None:
        # What a commit that failed was to store stays counted, and its shards held, until the file says what it holds.
        for write in writes:
            # Done already: whoever waited has gone.
            if write.done.done():
                continue
            if error is None:
                write.done.set_result(None)
            else:
                write.done.set_exception(SpoolUnavailable(f"the spool cannot be written: {error}"))

    def _failed(self, error: Exception) -> None:
        """Take no more until the file can be written again."""
        self._broke(error)
        if self._mending is None:
            self._mending = asyncio.create_task(self._mend(), name="spool mend")

    def _broke(self, error: Exception) -> None:
        self._metrics.failures.inc()
        self._failure = str(error)
        told = self._broken.failed(time.monotonic())
        if told is not None:
            event = "the spool cannot be written" if told.stage is Stage.BEGUN else "the spool still cannot be written"
            _log.error(event, error=repr(error), seconds=told.seconds, failures=told.failures)

    async def _mend(self) -> None:
        """Open the file again, for only it knows what it holds, and see whether it takes a write."""
        while self._failure is not None:
            try:
                self._take_stock(await self._call(self._file.open))
                await self._call(self._file.probe)
            except (sqlite3.Error, SettingsError) as error:
                self._broke(error)
                await asyncio.sleep(MENDED_SECONDS)
            else:
                self._failure = None
                told = self._broken.mended(time.monotonic())
                if told is not None:
                    _log.info("the spool can be written again", seconds=told.seconds, failures=told.failures)
        self._mending = None

    def _tell_full(self, told: Told | None) -> None:
        # One that is turned off hands over what it holds, and is not meant to take anything.
        if told is None or not self._capacity:
            return
        about = {"changes": self._changes, "capacity_bytes": self._capacity, "seconds": told.seconds}
        match told.stage:
            case Stage.BEGUN:
                _log.error("the spool is full", **about)
            case Stage.LASTS:
                _log.error("the spool is still full", refused=told.failures, **about)
            case Stage.OVER:
                _log.info("the spool has room again", refused=told.failures, **about)
