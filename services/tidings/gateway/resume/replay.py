"""Reads the past from the log, where windows do not reach: few reads at once, each for all who wait for its shard."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Final

import structlog

from tidings.bus.entries import read_entry
from tidings.bus.log import ChangeLog, FromOffset
from tidings.errors import BatchError, ReadLost
from tidings.gateway.feeds.window import Place
from tidings.gateway.model.changes import told_to
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import ResyncReason
from tidings.gateway.resume.by_shard import ByShard
from tidings.gateway.resume.history import Pass, Seeker
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
WORK_SECONDS: Final = 0.001
"""How long all passes together may keep the loop before everybody else has several turns."""
REST: Final = 2.0
"""For how many times as long as they worked all passes then rest."""

_log = structlog.get_logger()


class Replays:
    """At most MAX_READS passes at once, and at most one over a shard.

    `find` says where a position is, seen from a shard's window: a pass is over once that goes on from there. `done` is
    told of every seeker that a pass gives back. What a pass costs, in seconds, is charged to the connections that asked
    and to their accounts, to each once.
    """

    def __init__(
        self,
        log: ChangeLog,
        find: Callable[[int, Position], Place],
        done: Callable[[int, Seeker], None],
        charge: Callable[[Iterable[Connection | str], float], None],
    ) -> None:
        self._log = log
        self._find = find
        self._done = done
        self._charge = charge
        self._waiting: dict[int, dict[Seeker, None]] = {}
        self._running: dict[int, Pass] = {}
        self._tasks = ByShard("replay", self._serve)
        self._slots = asyncio.Semaphore(MAX_READS)
        self._worked = 0.0
        self._rested = 0.0

    @property
    def reads(self) -> int:
        """Passes under way."""
        return len(self._running)

    def ask(self, shard: int, seeker: Seeker) -> None:
        """Have `done` called, later, once a pass has served this one."""
        running = self._running.get(shard)
        if running is not None and running.join(seeker):
            return
        self._waiting.setdefault(shard, {})[seeker] = None
        self._tasks.start(shard)

    def forget(self, shard: int, seeker: Seeker) -> None:
        """Nobody asks any more what this one asked."""
        running = self._running.get(shard)
        if running is not None and seeker in running:
            self._charge((seeker.whose,), running.leave(seeker))
            return
        waiting = self._waiting.get(shard, {})
        waiting.pop(seeker, None)
        if not waiting:
            self._waiting.pop(shard, None)

    async def stop(self) -> None:
        """End every pass; nobody is told."""
        await self._tasks.stop()

    async def _serve(self, shard: int) -> None:
        while shard in self._waiting:
            async with self._slots:
                await self._pass(shard)

    async def _pass(self, shard: int) -> None:
        seekers = self._waiting.pop(shard, None)
        if seekers is None:
            return
        self._running[shard] = history = Pass(seekers)
        try:
            await self._read(shard, history)
        except (ReadLost, TimeoutError) as error:
            _log.info("history not read", shard=shard, reason=str(error) or "no entry came in time")
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - jitter
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave anybody without an answer
            _log.exception("history not read", shard=shard, error=repr(error))
            history.give_up()
        else:
            for payer, seconds in history.bills():
                self._charge((payer,), seconds)
        finally:
            # A pass that was cut off is not charged: it is made again.
            del self._running[shard]
        for seeker in history.end():
            self._done(shard, seeker)

    async def _read(self, shard: int, history: Pass) -> None:
        begun = time.monotonic()
        entries = size = 0
        async with aclosing(self._log.read(shard, FromOffset(history.begin()))) as stored:
            while (
                entries < PASS_ENTRIES
                and size < PASS_BYTES
                and time.monotonic() - begun < PASS_SECONDS
                and history.is_wanted
            ):
                async with asyncio.timeout(SILENCE_SECONDS):
                    entry = await anext(stored)
                await self._rest()
                worked = time.thread_time()
                entries += 1
                size += len(entry.payload)
                batch, position = read_entry(entry)
                if isinstance(batch, BatchError) or batch.is_reset:
                    history.spoil(ResyncReason.GAP if isinstance(batch, BatchError) else ResyncReason.SOURCE)
                    history.take(position, ())
                else:
                    history.take(position, told_to(batch, position, history.listens))
                self._work(history, time.thread_time() - worked)
                if self._find(shard, position) is not Place.BEFORE:
                    return

    def _work(self, history: Pass, seconds: float) -> None:
        history.spend(seconds)
        self._worked += seconds
        if self._worked > WORK_SECONDS:
            self._rested, self._worked = time.monotonic() + self._worked * REST, 0.0

    async def _rest(self) -> None:
        """Let everybody else go first, as long as the passes have worked more than their share."""
        while (pause := self._rested - time.monotonic()) > 0:
            await asyncio.sleep(pause)
