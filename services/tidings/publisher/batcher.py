"""Changes to batches, by the confirm clock.

Each shard has at most one batch on its way to the log; what arrives meanwhile is the next batch. Light load waits for
nothing, heavy load batches by itself.

Order within a shard is the order of `submit`, also across failures. With a spool, what the log does not confirm goes
there, and what comes later for the same shard goes behind it. Where neither takes a batch (without a spool, after one
retry with the same batch id), it takes everything that waits behind it in its shard down with it. All those
submitters are told so and none is overtaken: whoever submits one account's changes in order and repeats what failed
before going on keeps that order in the log. What was told to have failed may still appear: readers are idempotent.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final

import structlog

from tidings.bus.log import ChangeLog
from tidings.errors import LogError, LogFull, LogUnavailable
from tidings.ops.requests import Life
from tidings.publisher.lives import BatchLives, name_of
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.spool import Spool
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

MAX_BATCH_CHANGES: Final = 1_000
MAX_BATCH_BYTES: Final = 256 * 1024
MAX_WAITING_CHANGES: Final = 50_000
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
RETRY_SECONDS: Final = 3.0
"""A batch is retried only while its first change has waited for less: a sender behind HTTP gives up soon after."""
RETRY_PAUSE_SECONDS: Final = 0.2
DRAIN_SECONDS: Final = 5.0

_log = structlog.get_logger()


class _Receipt:
    """One `submit`: done when none of its changes remains."""

    __slots__ = ("done", "life", "remaining")

    def __init__(self, remaining: int, done: asyncio.Future[None], life: Life | None) -> None:
        self.remaining = remaining
        self.done = done
        self.life = life

    def confirm(self) -> None:
        self.remaining -= 1
        if not self.remaining and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: LogError) -> None:
        # Done already: another shard failed first, or the submitter has gone.
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Slip:
    """A change that waits; `since` is on the batcher's clock."""

    change: Change
    size: int
    since: float
    receipt: _Receipt


class Batcher:
    """Hands changes to the log, or else to the spool, and returns when they are safe."""

    name = "batcher"

    def __init__(
        self,
        log: ChangeLog,
        metrics: PublisherMetrics,
        lives: BatchLives,
        spool: Spool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._lives = lives
        self._metrics = metrics
        self._spool = spool
        self._clock = clock
        self._lanes: dict[int, deque[_Slip]] = {}
        self._writers: dict[int, asyncio.Task[None]] = {}
        self._waiting_changes = 0
        self._waiting_bytes = 0
        self._failing = False
        self._open = False
        metrics.waiting.set_function(lambda: self._waiting_changes)

    async def start(self) -> None:
        """Take changes from now on."""
        self._open = True

    async def stop(self) -> None:
        """Take no more; give what waits a few seconds to be confirmed."""
        self._open = False
        if self._writers:
            await asyncio.wait(self._writers.values(), timeout=DRAIN_SECONDS)
        for writer in self._writers.values():
            writer.cancel()

    async def submit(self, changes: Sequence[Change], life: Life | None = None) -> None:
        """Return when the log has confirmed, or the spool has on disk, all of `changes`, in order within each account.

        Raises LogFull when too much waits already or the spool is full, and LogUnavailable when not all are safe:
        repeat all of them. A cancelled submit does not take back what waits. `life` hears of the batches.
        """
        if not changes:
            return
        if not self._open:
            raise LogUnavailable("the publisher is not running")
        sizes = [len(batch.encode(b"", 0.0, (change,))) for change in changes]
        if (
            self._waiting_changes + len(changes) > MAX_WAITING_CHANGES
            or self._waiting_bytes + sum(sizes) > MAX_WAITING_BYTES
        ):
            raise LogFull(f"{self._waiting_changes} changes wait for the log already")
        done = asyncio.get_running_loop().create_future()
        receipt = _Receipt(len(changes), done, life)
        now = self._clock()
        for change, size in zip(changes, sizes, strict=True):
            self._enqueue(_Slip(change, size, now, receipt))
        await done

    def _enqueue(self, slip: _Slip) -> None:
        self._waiting_changes += 1
        self._waiting_bytes += slip.size
        shard = shard_of(slip.change.account, self._log.shards)
        lane = self._lanes.get(shard)
        if lane is None:
            lane = self._lanes[shard] = deque()
            self._writers[shard] = asyncio.create_task(self._write(shard, lane), name=f"append to shard {shard}")
        lane.append(slip)

    async def _write(self, shard: int, lane: deque[_Slip]) -> None:
        """Empty the lane, batch by batch. A lane and its writer live while something waits."""
        slips: list[_Slip] = []
        fault: LogError = LogUnavailable("the publisher is stopping")
        try:
            while lane:
                slips = _next_batch(lane)
                await self._deliver(shard, slips)
                slips = []
        except LogError as error:
            fault = error
            self._failed(shard, error)
            changes = [slip.change for slip in slips]
            self._lives.failed(changes, slips[0].since, self._clock(), time.time(), str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one lane
            fault = LogUnavailable("appending failed")
            self._metrics.failures.labels("batcher").inc()
            _log.exception("append failed", shard=shard, error=repr(error))
        finally:
            del self._lanes[shard], self._writers[shard]
            self._release((*slips, *lane))
            for slip in (*slips, *lane):
                slip.receipt.fail(fault)

    async def _deliver(self, shard: int, slips: Sequence[_Slip]) -> None:
        started = self._clock()
        changes = tuple(slip.change for slip in slips)
        lives = {slip.receipt.life for slip in slips if slip.receipt.life is not None}
        wanted = any(life.followed for life in lives)
        batch_id = self._lives.mark(token_bytes(batch.ID_BYTES), started, wanted=wanted)
        _reached(lives, started, f"appended in {name_of(batch_id)}")
        payload = batch.encode(batch_id, time.time(), changes)
        spool = self._spool
        how = "confirmed by the log"
        if spool is None:
            await self._append(shard, payload, slips[0].since + RETRY_SECONDS)
            self._confirmed(slips)
        elif await self._goes_directly(spool, shard, payload):
            self._confirmed(slips)
        else:
            await spool.store(shard, payload, len(slips))
            self._stored(slips)
            how = "not confirmed: kept in the spool"
        ended = self._clock()
        _reached(lives, ended, how)
        self._lives.ended(batch_id, changes, slips[0].since, started, ended, time.time(), how)

    async def _goes_directly(self, spool: Spool, shard: int, payload: bytes) -> bool:
        """Whether the log confirmed. Not tried when it is known to be away, or when that would overtake the spool."""
        if spool.holds(shard) or not self._log.can_append:
            return False
        try:
            await self._append(shard, payload)
        except LogUnavailable as error:
            # Retried from the spool, with the same batch id: meanwhile the sender has its answer.
            self._failed(shard, error)
            return False
        return True

    async def _append(self, shard: int, payload: bytes, retry_until: float | None = None) -> None:
        started = self._clock()
        try:
            await self._log.append(shard, payload)
        except LogUnavailable:
            if retry_until is None or self._clock() + RETRY_PAUSE_SECONDS > retry_until:
                raise
            self._metrics.batches.labels("retried").inc()
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
            await self._log.append(shard, payload)
        self._metrics.append_seconds.observe(self._clock() - started)

    def _confirmed(self, slips: Sequence[_Slip]) -> None:
        now = time.time()
        self._metrics.batches.labels("confirmed").inc()
        self._metrics.batch_changes.observe(len(slips))
        self._metrics.changes.inc(len(slips))
        self._release(slips)
        for slip in slips:
            # The wall clock may be set back meanwhile.
            self._metrics.ingest_to_confirm.observe(max(0.0, now - slip.change.ingested))
            slip.receipt.confirm()
        if self._failing:
            self._failing = False
            _log.info("the log confirms again")

    def _stored(self, slips: Sequence[_Slip]) -> None:
        self._release(slips)
        for slip in slips:
            slip.receipt.confirm()

    def _failed(self, shard: int, error: LogError) -> None:
        self._metrics.batches.labels("failed").inc()
        if not self._failing:
            self._failing = True
            _log.warning("the log does not confirm", shard=shard, error=str(error))

    def _release(self, slips: Iterable[_Slip]) -> None:
        for slip in slips:
            self._waiting_changes -= 1
            self._waiting_bytes -= slip.size


def _reached(lives: Iterable[Life], now: float, stage: str) -> None:
    for life in lives:
        life.mark(now, stage)


def _next_batch(lane: deque[_Slip]) -> list[_Slip]:
    """Take from the front as much as one batch may hold, at least one change."""
    slips = [lane.popleft()]
    size = slips[0].size
    while lane and len(slips) < MAX_BATCH_CHANGES and size + lane[0].size <= MAX_BATCH_BYTES:
        size += lane[0].size
        slips.append(lane.popleft())
    return slips
