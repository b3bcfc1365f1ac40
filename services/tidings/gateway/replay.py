"""Reads the past from the log, where windows do not reach: few reads at once, each for all who wait for its shard."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog

from tidings.bus.log import ChangeLog, FromOffset
from tidings.errors import BatchError, ReadLost
from tidings.gateway.history import Pass, Seeker
from tidings.gateway.told import read_entry, told_of
from tidings.gateway.window import Place
from tidings.wire.cursor import Position

MAX_READS: Final = 4
"""Passes at a time. Whoever waits for another one waits; nobody is told to resynchronise for it."""
PASS_ENTRIES: Final = 20_000
PASS_BYTES: Final = 16 * 1024 * 1024
PASS_SECONDS: Final = 5.0
"""A pass ends at the first of these. Who is not done goes on from there, after those that wait for other shards."""
SILENCE_SECONDS: Final = 2.0
"""How long the next entry may take, where there has to be one."""
RETRY_SECONDS: Final = (0.2, 1.0)
WORK_SECONDS: Final = 0.002
"""How long a pass may keep the loop before everybody else has a turn."""

_log = structlog.get_logger()


class Replays:
    """At most MAX_READS passes at once, and at most one over a shard.

    `find` says where a position is, seen from a shard's window: a pass is over once that goes on from there. `done` is
    told of every seeker that a pass gives back.
    """

    def __init__(
        self,
        log: ChangeLog,
        find: Callable[[int, Position], Place],
        done: Callable[[int, Seeker], None],
    ) -> None:
        self._log = log
        self._find = find
        self._done = done
        self._waiting: dict[int, list[Seeker]] = {}
        self._running: dict[int, Pass] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MAX_READS)

    @property
    def reads(self) -> int:
        """Passes under way."""
        return len(self._running)

    def ask(self, shard: int, seeker: Seeker) -> None:
        """Have `done` called, later, once a pass has served this one."""
        running = self._running.get(shard)
        if running is not None and running.join(seeker):
            return
        self._waiting.setdefault(shard, []).append(seeker)
        if shard not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._serve(shard), name=f"replay-{shard}")
            self._tasks[shard] = task

    async def stop(self) -> None:
        """End every pass; nobody is told."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, shard: int) -> None:
        try:
            while shard in self._waiting:
                async with self._slots:
                    await self._pass(shard)
        finally:
            del self._tasks[shard]

    async def _pass(self, shard: int) -> None:
        seekers = [seeker for seeker in self._waiting.pop(shard) if not seeker.gone]
        if not seekers:
            return
        self._running[shard] = history = Pass(seekers)
        try:
            await self._read(shard, history)
        except (ReadLost, TimeoutError) as error:
            _log.info("history not read", shard=shard, reason=str(error) or "nothing came")
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - jitter
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave anybody without an answer
            _log.exception("history not read", shard=shard, error=repr(error))
            history.give_up()
        finally:
            del self._running[shard]
        for seeker in history.end():
            self._done(shard, seeker)

    async def _read(self, shard: int, history: Pass) -> None:
        begun = turn = time.monotonic()
        entries = size = 0
        async with aclosing(self._log.read(shard, FromOffset(history.begin()))) as stored:
            while entries < PASS_ENTRIES and size < PASS_BYTES and turn - begun < PASS_SECONDS and history.is_wanted:
                async with asyncio.timeout(SILENCE_SECONDS):
                    entry = await anext(stored)
                entries += 1
                size += len(entry.payload)
                batch, position = read_entry(entry)
                if isinstance(batch, BatchError):
                    history.spoil()
                    history.take(position, ())
                else:
                    history.take(position, told_of(batch, position, 0.0))
                if self._find(shard, position) is not Place.BEFORE:
                    return
                if time.monotonic() - turn > WORK_SECONDS:
                    await asyncio.sleep(0)
                    turn = time.monotonic()
