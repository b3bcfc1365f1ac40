"""The feed: the gateway's reader of one shard. Attaches, proves itself live by markers, notices gaps."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Final, Protocol

import structlog

from tidings.bus.entries import read_entry
from tidings.bus.log import ChangeLog, Entry, FromOffset, FromTime, Start
from tidings.errors import BatchError, LogError, LogUnavailable, ReadLost
from tidings.gateway.feeds.continuity import Act, Continuity, Event, Standing
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.pool import Proof
from tidings.gateway.feeds.rounds import Rounds
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.model.changes import Told, told_of
from tidings.gateway.model.pending import ResyncReason
from tidings.ops.paced import Paced
from tidings.wire import batch as batches
from tidings.wire.batch import Batch
from tidings.wire.cursor import Position

WINDOW_SECONDS: Final = 300.0
MARK_BYTES: Final = 8
"""What the ids of a reader's markers begin with; the rest is another one each time."""
MARKER_SECONDS: Final = 2.0
"""How long a marker may take to come back before the feed counts as dead."""
LEAST_SECONDS: Final = 0.01
"""How long a feed sleeps at the least: a timer may be early, and then again and again by less and less."""
UNPROVEN_SECONDS: Final = 5.0
"""Silence that the log is told of when no marker can be appended to find out what it means."""
DOUBT_SECONDS: Final = 60.0
"""How much earlier than a batch came it may have been appended, by the log's clock."""
RETRY_SECONDS: Final = (0.2, 1.0)

_log = structlog.get_logger()


class FeedEvents(Protocol):
    """What a feed tells its owner; called on the loop, never at once from within `start`."""

    def live(self, shard: int, position: Position) -> None:
        """The feed delivers, its window is built, and it stands at `position`."""

    def find(self, account: str) -> object:
        """Who is to be told of an account's changes; None for nobody."""

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """What a live feed read at once, up to `position`: those of its changes that somebody is to be told of."""

    def gap(self, shard: int, reason: ResyncReason) -> None:
        """Changes of this shard may have been missed: everybody connected has to resynchronise."""


@dataclass(slots=True)
class FeedCounters:
    """Plain ints, read by the metrics collector. `told` paces the lines in the log of all feeds of the process."""

    batches: int = 0
    changes: int = 0
    markers: int = 0
    undecodable: int = 0
    lost: int = 0
    gaps: int = 0
    told: Paced[tuple[str, str]] = field(default_factory=Paced)


class Feed:
    """Reads one shard until stopped; `window`, one of `windows`, serves the clients that come back.

    `clock` says from when to read, `rounds` when a quiet shard is asked for a marker. `delivered` hears of each batch
    that tells of changes, and when it was consumed. Where it gives something, the batch is told by itself: what is
    given is called with the call that tells of it.
    """

    def __init__(
        self,
        log: ChangeLog,
        shard: int,
        events: FeedEvents,
        counters: FeedCounters,
        delivered: Callable[[Batch, float], Callable[[Callable[[], None]], None] | None],
        windows: Windows,
        clock: LogClock,
        rounds: Rounds,
    ) -> None:
        self.shard = shard
        self.window = windows.open(WINDOW_SECONDS)
        self.lag = 0.0
        self.heard_at = 0.0
        self._began = time.monotonic()
        self._log = log
        self._events = events
        self._counters = counters
        self._delivered = delivered
        self._windows = windows
        self._clock = clock
        self._rounds = rounds
        self._continuity = Continuity()
        self._appended = 0.0
        """When its newest batch was handed to the log, by the writer's clock in Unix seconds."""
        self._came = 0.0
        """When that batch came here, on the monotonic clock."""
        self._untold: list[Told] = []
        self._untold_to: Position | None = None
        """What the owner has not been told of yet, and up to where; None where it has been told of everything."""
        self._proofs: dict[bytes, asyncio.Future[int]] = {}
        self._arrival = asyncio.Event()
        self._stopped = False
        self._task: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """Whether it delivers now, as far as anybody can tell."""
        return self._continuity.live

    @property
    def silence(self) -> float:
        """For how many seconds the log has delivered nothing; all of its own life, where it never has."""
        since = self.heard_at or self._began
        return time.monotonic() - since

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"feed-{self.shard}")

    async def stop(self) -> None:
        self._continuity.happened(Event.STOPPED)
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._windows.close(self.window)

    async def prove(self) -> Proof | None:
        """Return once everything that was in the log when this was called has been read; None of a stopped feed."""
        while not self._stopped:
            marker = token_bytes(batches.ID_BYTES)
            self._proofs[marker] = came = asyncio.get_running_loop().create_future()
            sent = time.monotonic()
            try:
                await self._append(marker)
                async with asyncio.timeout(MARKER_SECONDS):
                    return Proof(self.shard, await came, sent)
            except (LogUnavailable, TimeoutError):
                await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - jitter
            finally:
                del self._proofs[marker]
        return None

    async def _run(self) -> None:
        # A task group that fails just when it is cancelled tells only of its failure.
        while not self._stopped:
            mark = token_bytes(MARK_BYTES)
            self._continuity.attach(mark)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._log.follow(self.shard, self._start(), self._hear))
                    group.create_task(self._prove_live(mark))
            except* LogError as errors:
                if self.live:
                    self._warn("feed lost", "; ".join(str(error) for error in errors.exceptions))
                    self._counters.lost += 1
                self._continuity.happened(Event.LOST)
            except* Exception as faults:  # noqa: BLE001 - a fault of ours must not end the telling
                _log.exception("feed failed", shard=self.shard, error=repr(faults.exceptions[0]))
                self._counters.lost += self.live
                self._continuity.happened(Event.FAULT)
                self._declare_gap("a fault of the gateway")
            await asyncio.sleep(random.uniform(*RETRY_SECONDS) * self._continuity.patience)  # noqa: S311 - jitter

    def _start(self) -> Start:
        last = self._continuity.last
        # Also after a gap. Attaching at the tail instead could miss the marker, which travels on another connection and
        # may be there first.
        if last is None:
            start = self._clock.before(WINDOW_SECONDS)
            self._appended = start.timestamp
            return start
        if self._continuity.state.standing is Standing.DOUBTED:
            # The earlier of two times, for a writer's clock may be ahead of the log's.
            return FromTime(max(0.0, min(self._appended, self._came + self._clock.offset) - DOUBT_SECONDS))
        return FromOffset(last.offset)

    def _hear(self, entries: Sequence[Entry]) -> None:
        if self._stopped:
            return
        self.heard_at = time.monotonic()
        # A fault may have left something, which the gap that was declared for it covers.
        self._untold, self._untold_to = [], None
        for entry in entries:
            self._take(entry)
        self._tell()
        self._arrival.set()

    def _tell(self) -> None:
        """Tell the owner of all that came at once: a call for each entry would cost as much as what it tells."""
        position = self._untold_to
        if position is not None:
            told, self._untold, self._untold_to = self._untold, [], None
            self._events.batch(self.shard, position, told, self.heard_at)

    async def _prove_live(self, mark: bytes) -> None:
        """Append a marker on attaching and after silence; raise ReadLost when nothing comes back."""
        while True:
            # Until it is live only its own marker helps, and others' entries may keep it from ever hearing silence.
            if self.live:
                await self._silence()
            asked = time.monotonic()
            sent = await self._append_marker(mark)
            # The marker travels on another connection than its confirm, and may have been here before it.
            while sent and (not self.live or self.heard_at < asked):
                self._arrival.clear()
                due = sent + MARKER_SECONDS * self._continuity.patience
                try:
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        await self._arrival.wait()
                except TimeoutError:
                    late = Event.OUTRUN if self.heard_at > sent else Event.UNHEARD
                    if self._continuity.happened(late).act is not Act.REPEAT:
                        raise ReadLost("a confirmed marker did not come back") from None
                    self._clock.doubt()
                    sent = await self._append_marker(mark)
            if sent:
                self._continuity.proven()

    async def _silence(self) -> None:
        """Return once nothing has come for so long that the log is to be asked."""
        heard = due = 0.0
        while True:
            if heard != self.heard_at:
                heard = self.heard_at
                due = self._rounds.after(heard)
            pause = due - time.monotonic()
            if pause <= 0:
                return
            await asyncio.sleep(max(pause, LEAST_SECONDS))

    async def _append_marker(self, mark: bytes) -> float:
        """When a marker was confirmed, on the monotonic clock; 0 when the log takes none now."""
        try:
            await self._append(mark + token_bytes(batches.ID_BYTES - MARK_BYTES))
        except LogUnavailable as error:
            silence = self.silence
            if silence > UNPROVEN_SECONDS and self._continuity.happened(Event.REFUSED).act is Act.WARN:
                self._warn("feed unproven", str(error), silent_seconds=round(silence, 1))
            await asyncio.sleep(MARKER_SECONDS / 2)
            return 0.0
        return time.monotonic()

    async def _append(self, marker: bytes) -> None:
        await self._log.append(self.shard, batches.encode(marker, self._clock.now(), ()))

    def _warn(self, event: str, reason: str, **details: object) -> None:
        """Log what befalls all feeds together, such as an outage of the broker, once for all of them."""
        times = self._counters.told.happened((event, reason), time.monotonic())
        if times:
            _log.warning(event, shard=self.shard, reason=reason, times=times, **details)

    def _declare_gap(self, reason: str) -> None:
        _log.warning("gap in a shard", shard=self.shard, reason=reason)
        self._counters.gaps += 1
        self.window.clear()

    def _take(self, entry: Entry) -> None:
        found, position = read_entry(entry)
        # What nobody can read is as old as the newest batch before it, as far as can be said.
        batch = Batch(batches.VERSION, b"", self._appended, ()) if isinstance(found, BatchError) else found
        decision = self._continuity.take(position, b"" if batch.is_reset else batch.id)
        if decision.act is Act.DECLARE_GAP:
            self._declare_gap("the log does not continue where it was left")
            raise ReadLost("the log was recreated or cut")
        if not decision.keeps:
            return
        if decision.act is Act.SPOIL:
            self._spoil(found, entry)
        consumed = self._came = self.heard_at
        offset = self._clock.offset
        self.window.append(position, consumed, batch.changes)
        self._appended = batch.appended
        counters = self._counters
        counters.batches += 1
        counters.changes += len(batch.changes)
        counters.markers += not batch.changes
        self.lag = max(0.0, consumed + offset - batch.appended)
        if decision.batch:
            follow = self._delivered(batch, consumed) if batch.changes else None
            if follow is not None:
                self._tell()
            self._untold += told_of(batch, position, -offset, self._events.find)
            self._untold_to = position
            if follow is not None:
                follow(self._tell)
        if decision.gap or decision.live:
            # What came before that goes first: a cursor must not overtake a change.
            self._tell()
        if decision.gap:
            self._events.gap(self.shard, ResyncReason.SOURCE if batch.is_reset else ResyncReason.GAP)
        if decision.live:
            self._events.live(self.shard, position)
        proof = self._proofs.get(batch.id)
        if proof is not None and not proof.done():
            proof.set_result(position.offset)

    def _spoil(self, found: Batch | BatchError, entry: Entry) -> None:
        """Forget the window: what an entry changed cannot be said."""
        if isinstance(found, BatchError):
            _log.error("undecodable log entry", shard=self.shard, offset=entry.offset, reason=str(found))
            self._counters.undecodable += 1
        else:
            _log.info("clients of a shard are asked to resynchronise", shard=self.shard, offset=entry.offset)
        self.window.clear()
