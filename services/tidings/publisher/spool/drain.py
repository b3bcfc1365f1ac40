"""From the spool to the log: shard by shard in order, one unconfirmed batch per shard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from tidings.bus.log import ChangeLog
from tidings.errors import BatchError, LogError
from tidings.ops.outage import Outage, Stage
from tidings.publisher.confirms import Confirms
from tidings.publisher.metrics import PublisherMetrics, SpoolMetrics
from tidings.publisher.spool.file import Entry
from tidings.publisher.spool.spool import Spool
from tidings.wire import batch

LOOK_SECONDS: Final = 0.1
"""Between two looks for shards that are held while the log takes appends."""
RETRY_SECONDS: Final = 1.0
"""A shard whose append failed is left alone for this long."""

_log = structlog.get_logger()


class Drain:
    """Empties the spool whenever the log takes appends."""

    name = "drain"

    def __init__(
        self,
        spool: Spool,
        log: ChangeLog,
        metrics: PublisherMetrics,
        spool_metrics: SpoolMetrics,
        confirms: Confirms | None = None,
    ) -> None:
        self._spool = spool
        self._log = log
        self._confirms = confirms or Confirms(log)
        self._metrics = metrics
        self._spool_metrics = spool_metrics
        self._looking: asyncio.Task[None] | None = None
        self._shards: dict[int, asyncio.Task[None]] = {}
        self._confirmed: dict[int, int] = {}
        self._waiting = Outage()

    async def start(self) -> None:
        """Begin to drain, what an earlier run has left included."""
        self._looking = asyncio.create_task(self._look(), name=self.name)

    async def stop(self) -> None:
        """Leave what is not confirmed in the spool."""
        tasks = [*self._shards.values(), *filter(None, [self._looking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            if self._log.can_append:
                for shard in self._spool.shards:
                    if shard not in self._shards:
                        self._shards[shard] = asyncio.create_task(self._empty(shard), name=f"drain shard {shard}")
            self._tell()
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self) -> None:
        """Once as it begins and once as it ends: what keeps them waiting is told by whoever is away."""
        now = time.monotonic()
        told = self._waiting.failed(now) if self._spool.shards else self._waiting.mended(now)
        if told is not None and told.stage is Stage.BEGUN:
            _log.info("changes wait in the spool")
        elif told is not None and told.stage is Stage.OVER:
            _log.info("the spool is empty again", seconds=told.seconds)

    async def _empty(self, shard: int) -> None:
        try:
            while self._spool.holds(shard) and await self._drain(shard):
                pass
        except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to leave the rest in the spool
            self._metrics.failures.labels("drain").inc()
            _log.exception("draining the spool failed", shard=shard, error=repr(error))
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            del self._shards[shard]

    async def _drain(self, shard: int) -> bool:
        """Append some of a shard's entries, as many as the log confirms, and discard those."""
        try:
            entries = await self._spool.read(shard)
            confirmed, failed = await self._append(entries)
            await self._spool.discard(confirmed)
        except LogError:
            # The spool says what is wrong with its file. What is confirmed and still there is not appended again.
            failed = True
        else:
            self._confirmed.pop(shard, None)
        if failed:
            await asyncio.sleep(RETRY_SECONDS)
        return not failed

    async def _append(self, entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
        """The entries that are confirmed, and whether one was not."""
        confirmed: list[Entry] = []
        for entry in entries:
            if entry.id > self._confirmed.get(entry.shard, 0):
                try:
                    await self._log.append(entry.shard, _restamped(entry.batch))
                except LogError as error:
                    self._metrics.batches["failed"] += 1
                    self._confirms.failed(entry.shard, error)
                    return confirmed, True
                self._confirms.confirmed(entry.shard)
                self._confirmed[entry.shard] = entry.id
                self._metrics.batches["confirmed"] += 1
                self._metrics.changes += entry.changes
                self._spool_metrics.drained.inc(entry.changes)
            confirmed.append(entry)
        return confirmed, False


def _restamped(payload: bytes) -> bytes:
    """The same batch, handed to the log now: readers go by the stamp when they drop what is old."""
    try:
        found = batch.decode(payload)
    except BatchError:
        # Damaged on the disk. Readers take what they cannot read for a gap, and tell everybody to resynchronise.
        return payload
    return batch.restamped(found, time.time())
