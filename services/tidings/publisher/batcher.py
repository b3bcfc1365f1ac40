"""Changes to batches, by the confirm clock.

Each shard has at most one batch on its way to the log; what arrives meanwhile is the next batch. Light load waits for
nothing. Under load batches grow by themselves, and a shard that many changes come for lets a few milliseconds go by
between two of them (pace.py).

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
from contextvars import Context, copy_context
from secrets import token_bytes
from typing import Final, NamedTuple

import structlog

from asyncio_pprof.traces import Life
from tidings.bus.log import ChangeLog
from tidings.errors import LogError, LogFull, LogUnavailable
from tidings.ops.budget import Account, Budget
from tidings.publisher.batch_traces import BatchTraces, name_of
from tidings.publisher.change_traces import ChangeTraces, TracedBatch
from tidings.publisher.confirms import Confirms
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.pace import Pace
from tidings.publisher.spool.spool import Spool
from tidings.wire import batch
from tidings.wire.change import EVERY_ACCOUNT, Change, held_bytes, untraced
from tidings.wire.shard import shard_of

MAX_BATCH_CHANGES: Final = 1_000
MAX_BATCH_BYTES: Final = 256 * 1024
MAX_WAITING_CHANGES: Final = 50_000
MAX_WAITING_BYTES: Final = 48 * 1024 * 1024
"""What they take in memory."""
SLIP_BYTES: Final = 144
"""What a change that waits takes more for waiting."""
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


class _Slip(NamedTuple):
    """A change that waits: its size in the log, and what it counts as in memory; `since` is on the batcher's clock."""

    change: Change
    size: int
    held: int
    since: float
    receipt: _Receipt


class _Lane:
    """What waits for one shard. It has a writer while anything does."""

    __slots__ = ("pace", "slips", "writer")

    def __init__(self) -> None:
        self.slips: deque[_Slip] = deque()
        self.pace = Pace()
        self.writer: asyncio.Task[None] | None = None


class Batcher:
    """Hands changes to the log, or else to the spool, and returns when they are safe.

    `waiting` counts the bytes of what waits; without one, in a budget of its own.
    """

    name = "batcher"

    def __init__(
        self,
        log: ChangeLog,
        metrics: PublisherMetrics,
        traces: BatchTraces,
        spool: Spool | None = None,
        clock: Callable[[], float] = time.monotonic,
        confirms: Confirms | None = None,
        waiting: Account | None = None,
        change_traces: ChangeTraces | None = None,
    ) -> None:
        self._log = log
        self._traces = traces
        self._change_traces = change_traces
        self._context = Context()
        self._metrics = metrics
        self._spool = spool
        self._clock = clock
        self._lanes: dict[int, _Lane] = {}
        self._waiting_changes = 0
        self._waiting = waiting or Budget().account("waiting", most=MAX_WAITING_BYTES)
        self._confirms = confirms or Confirms(log)
        self._open = False
        metrics.waiting.append(lambda: self._waiting_changes)

    async def start(self) -> None:
        self._context = copy_context()
        self._open = True

    async def stop(self) -> None:
        """Take no more; give what waits a few seconds to be confirmed."""
        self._open = False
        writers = [lane.writer for lane in self._lanes.values() if lane.writer is not None]
        if writers:
            await asyncio.wait(writers, timeout=DRAIN_SECONDS)
        for writer in writers:
            writer.cancel()

    async def submit(self, changes: Sequence[Change], life: Life | None = None) -> None:
        """Return when the log has confirmed, or the spool has on disk, all of `changes`, in order within each account.

        A change of EVERY_ACCOUNT goes to every shard.

        Raises LogFull when too much waits already or the spool is full, and LogUnavailable or SpoolUnavailable when not
        all are safe: repeat all of them. A cancelled submit does not take back what waits. `life` hears of the batches.
        """
        if not changes:
            return
        if not self._open:
            raise LogUnavailable("the publisher is not running")
        if self._waiting.is_short:
            raise LogFull("the memory budget is used up")
        aimed = [(shard, change) for change in changes for shard in self._shards_of(change)]
        sizes = [len(batch.encode(b"", 0.0, (change,))) for _, change in aimed]
        held = [SLIP_BYTES + held_bytes(change) for _, change in aimed]
        if self._waiting_changes + len(aimed) > MAX_WAITING_CHANGES or not self._waiting.take(sum(held)):
            raise LogFull(f"{self._waiting_changes} changes wait for the log already")
        done = asyncio.get_running_loop().create_future()
        receipt = _Receipt(len(aimed), done, life)
        now = self._clock()
        for (shard, change), size, taken in zip(aimed, sizes, held, strict=True):
            self._enqueue(shard, _Slip(change, size, taken, now, receipt))
        await done

    def _shards_of(self, change: Change) -> Iterable[int]:
        shards = self._log.shards
        return range(shards) if change.account == EVERY_ACCOUNT else (shard_of(change.account, shards),)

    def _enqueue(self, shard: int, slip: _Slip) -> None:
        self._waiting_changes += 1
        lane = self._lanes.get(shard)
        if lane is None:
            lane = self._lanes[shard] = _Lane()
        lane.slips.append(slip)
        lane.pace.arrived(slip.since)
        if lane.writer is None:
            # Not in the context of whoever came first: the lines that it logs are not all of that one's trace.
            context = self._context.copy()
            lane.writer = asyncio.create_task(
                self._write(shard, lane), name=f"append to shard {shard}", context=context
            )

    async def _write(self, shard: int, lane: _Lane) -> None:
        """Empty the lane, batch by batch."""
        slips: list[_Slip] = []
        fault: LogError = LogUnavailable("the publisher is stopping")
        try:
            while lane.slips:
                if (wait := lane.pace.wait(self._clock())) > 0:
                    await asyncio.sleep(wait)
                lane.pace.begun(self._clock())
                slips = _next_batch(lane.slips)
                await self._deliver(shard, slips)
                slips = []
        except LogError as error:
            fault = error
            # Of its own failures the spool tells.
            if isinstance(error, LogUnavailable):
                self._failed(shard, error)
            changes = [slip.change for slip in slips]
            self._traces.failed(changes, slips[0].since, self._clock(), time.time(), str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one lane
            fault = LogUnavailable("appending failed")
            self._metrics.failures.labels("batcher").inc()
            _log.exception("append failed", shard=shard, error=repr(error))
        finally:
            left = (*slips, *lane.slips)
            lane.slips.clear()
            lane.writer = None
            self._release(left)
            for slip in left:
                slip.receipt.fail(fault)

    async def _deliver(self, shard: int, slips: Sequence[_Slip]) -> None:
        batch_id = token_bytes(batch.ID_BYTES)
        traced = None
        if self._change_traces is not None and slips[0].change.account != EVERY_ACCOUNT:
            traced = self._change_traces.begin([slip.change for slip in slips], shard, name_of(batch_id))
        if traced is None:
            await self._make_safe(shard, slips, batch_id, None)
        else:
            with traced:
                await self._make_safe(shard, slips, batch_id, traced)

    async def _make_safe(self, shard: int, slips: Sequence[_Slip], batch_id: bytes, traced: TracedBatch | None) -> None:
        started = self._clock()
        changes = tuple(slip.change for slip in slips)
        lives = {slip.receipt.life for slip in slips if slip.receipt.life is not None}
        wanted = traced is not None or any(life.followed for life in lives)
        batch_id = self._traces.mark(batch_id, started, wanted=wanted)
        _reached(lives, started, f"appended in {name_of(batch_id)}")
        if changes[0].account == EVERY_ACCOUNT:
            payload = batch.encode_reset(batch_id, time.time())
        elif traced is not None:
            payload = batch.encode(batch_id, time.time(), tuple(map(untraced, changes)), traced.traced)
        else:
            payload = batch.encode(batch_id, time.time(), changes)
        spool = self._spool
        how, stored = "confirmed by the log", False
        if spool is None:
            await self._append(shard, payload, slips[0].since + RETRY_SECONDS)
            self._confirmed(shard, slips)
        elif await self._goes_directly(spool, shard, payload):
            self._confirmed(shard, slips)
        else:
            await spool.store(shard, payload, len(slips))
            self._stored(slips)
            how, stored = "not confirmed: kept in the spool", True
        ended = self._clock()
        _reached(lives, ended, how)
        self._traces.ended(batch_id, changes, slips[0].since, started, ended, time.time(), how)
        if traced is not None and stored:
            traced.stored(how)
        elif traced is not None:
            traced.confirmed(ended - started, [ended - slip.since for slip in slips], how)

    async def _goes_directly(self, spool: Spool, shard: int, payload: bytes) -> bool:
        """Whether the log confirmed. Not tried when it is known to be away, or when that would overtake the spool."""
        if self._log.can_append:
            await spool.leaves(shard)
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
            self._metrics.batches["retried"] += 1
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
            await self._log.append(shard, payload)
        self._metrics.append_seconds.observe(self._clock() - started)

    def _confirmed(self, shard: int, slips: Sequence[_Slip]) -> None:
        now = self._clock()
        self._metrics.batches["confirmed"] += 1
        self._metrics.batch_changes.observe(len(slips))
        self._metrics.changes += len(slips)
        self._release(slips)
        for slip in slips:
            self._metrics.ingest_to_confirm.observe(now - slip.since)
            slip.receipt.confirm()
        self._confirms.confirmed(shard)

    def _stored(self, slips: Sequence[_Slip]) -> None:
        self._release(slips)
        for slip in slips:
            slip.receipt.confirm()

    def _failed(self, shard: int, error: LogError) -> None:
        self._metrics.batches["failed"] += 1
        self._confirms.failed(shard, error)

    def _release(self, slips: Iterable[_Slip]) -> None:
        for slip in slips:
            self._waiting_changes -= 1
            self._waiting.give(slip.held)


def _reached(lives: Iterable[Life], now: float, stage: str) -> None:
    for life in lives:
        life.mark(now, stage)


def _next_batch(lane: deque[_Slip]) -> list[_Slip]:
    """Take from the front as much as one batch may hold, at least one change; one of every account goes by itself."""
    slips = [lane.popleft()]
    size = slips[0].size
    if slips[0].change.account == EVERY_ACCOUNT:
        return slips
    while (
        lane
        and len(slips) < MAX_BATCH_CHANGES
        and size + lane[0].size <= MAX_BATCH_BYTES
        and lane[0].change.account != EVERY_ACCOUNT
    ):
        size += lane[0].size
        slips.append(lane.popleft())
    return slips
