"""The feed: the gateway's reader of one shard. Attaches, proves itself live by markers, notices gaps."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final, Protocol

import structlog

from tidings.bus.log import ChangeLog, Entry, FromOffset, FromTime, Start
from tidings.errors import BatchError, LogError, LogUnavailable, ReadLost
from tidings.gateway.told import Told, read_entry, told_of
from tidings.gateway.window import Window
from tidings.wire import batch as batches
from tidings.wire.batch import Batch
from tidings.wire.cursor import Position

WINDOW_SECONDS: Final = 300.0
MARKER_SECONDS: Final = 2.0
"""How long a marker may take to come back before the feed counts as dead."""
QUIET_SECONDS: Final = (2.0, 2.8)
"""Shard silence after which a marker is appended, jittered so that gateways rarely do it together. With the time that
the marker has, a dead feed is noticed within 5 s."""
UNPROVEN_SECONDS: Final = 5.0
"""Silence that the log is told of when no marker can be appended to find out what it means."""
DOUBT_SECONDS: Final = 60.0
"""How much earlier than a batch was appended it may be in the log, by the clocks of its writer and the broker."""
RETRY_SECONDS: Final = (0.2, 1.0)
MAX_PATIENCE: Final = 8
"""What the times of a feed that fails to attach again and again are multiplied by at the most."""

_log = structlog.get_logger()


class FeedEvents(Protocol):
    """What a feed tells its owner; called on the loop, never at once from within `start`."""

    def live(self, shard: int, position: Position) -> None:
        """The feed delivers, its window is built, and it stands at `position`."""

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """A batch of a live feed, possibly empty."""

    def gap(self, shard: int) -> None:
        """Changes of this shard may have been missed: everybody connected has to resynchronise."""


@dataclass(slots=True)
class FeedCounters:
    """Plain ints, read by the metrics collector."""

    batches: int = 0
    changes: int = 0
    markers: int = 0
    undecodable: int = 0
    lost: int = 0
    gaps: int = 0


class Feed:
    """Reads one shard until stopped; `window` serves the clients that come back.

    `delivered` hears of each batch that tells of changes, and when it was consumed; what it gives is called once
    everybody has been told.
    """

    def __init__(
        self,
        log: ChangeLog,
        shard: int,
        events: FeedEvents,
        counters: FeedCounters,
        delivered: Callable[[Batch, float], Callable[[], None] | None],
    ) -> None:
        self.shard = shard
        self.live = False
        self.window = Window(WINDOW_SECONDS)
        self.lag = 0.0
        self.heard_at = 0.0
        self._log = log
        self._events = events
        self._counters = counters
        self._delivered = delivered
        self._gap = False
        self._primed = False
        self._verified = False
        self._doubtful = False
        self._appended = 0.0
        self._marker = b""
        self._proofs: dict[bytes, asyncio.Event] = {}
        self._unproven = False
        self._patience = 1
        self._arrival = asyncio.Event()
        self._stopped = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Attach, and keep attached."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"feed-{self.shard}")

    async def stop(self) -> None:
        """Detach."""
        self.live = False
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def prove(self) -> None:
        """Return once everything that was in the log when this was called has been read, or the feed has stopped."""
        while not self._stopped:
            marker = token_bytes(batches.ID_BYTES)
            self._proofs[marker] = came = asyncio.Event()
            try:
                await self._log.append(self.shard, batches.encode(marker, time.time(), ()))
                async with asyncio.timeout(MARKER_SECONDS):
                    await came.wait()
            except (LogUnavailable, TimeoutError):
                await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - jitter
            else:
                return
            finally:
                del self._proofs[marker]

    async def _run(self) -> None:
        # A task group that fails just when it is cancelled tells only of its failure.
        while not self._stopped:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(self._start()))
                    group.create_task(self._prove_live())
            except* LogError as errors:
                if self.live:
                    reason = "; ".join(str(error) for error in errors.exceptions)
                    _log.warning("feed lost", shard=self.shard, reason=reason)
                    self._counters.lost += 1
                self.live = False
            except* Exception as faults:  # noqa: BLE001 - a fault of ours must not end the telling
                _log.exception("feed failed", shard=self.shard, error=repr(faults.exceptions[0]))
                self._counters.lost += self.live
                self.live = False
                # The batch in hand is in the window, and who has been told of it nobody knows.
                self._declare_gap("a fault of ours")
            await asyncio.sleep(random.uniform(*RETRY_SECONDS) * self._patience)  # noqa: S311 - jitter
            # Many gateways that attach at once can be what makes a broker slow: then trying sooner is no help. It wears
            # off with each marker that comes back in time, and not at once, or all would be lost again, and again.
            self._patience = min(self._patience * 2, MAX_PATIENCE)

    def _start(self) -> Start:
        position = self.window.position
        self._verified = position is None
        self._marker = token_bytes(batches.ID_BYTES)
        # A gap empties the window: like a new feed, it builds one from the history there is now. Attaching at the
        # tail instead could miss the marker, which travels on another connection and may be there first.
        if position is None:
            self._appended = time.time() - WINDOW_SECONDS
            return FromTime(self._appended)
        # Nothing came from there the last time. Either the log is another, shorter one, or the broker is slow: only
        # what there is can tell.
        return FromTime(self._appended - DOUBT_SECONDS) if self._doubtful else FromOffset(position.offset)

    async def _read(self, start: Start) -> None:
        async with aclosing(self._log.read(self.shard, start)) as entries:
            async for entry in entries:
                self.heard_at = time.monotonic()
                self._unproven = False
                self._take(entry)
                self._arrival.set()

    async def _prove_live(self) -> None:
        """Append a marker on attaching and after silence; raise ReadLost when nothing comes back."""
        quiet = 0.0
        while True:
            silence = time.monotonic() - self.heard_at
            if silence < quiet:
                await asyncio.sleep(quiet - silence)
                continue
            asked = time.monotonic()
            sent = await self._append_marker()
            # The marker travels on another connection than its confirm, and may have been here before it.
            while sent and (not self.live or self.heard_at < asked):
                self._arrival.clear()
                due = max(sent, self.heard_at) + MARKER_SECONDS * self._patience
                try:
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        await self._arrival.wait()
                except TimeoutError:
                    self._doubtful = not self._verified
                    raise ReadLost("a confirmed marker did not come back") from None
            if sent:
                self._patience = max(1, self._patience // 2)
            # Until it is live only its own marker helps, and others' entries may keep it from ever hearing silence.
            quiet = random.uniform(*QUIET_SECONDS) if self.live else 0.0  # noqa: S311 - jitter

    async def _append_marker(self) -> float:
        """When a marker was confirmed, on the monotonic clock; 0 when the log takes none now."""
        try:
            await self._log.append(self.shard, batches.encode(self._marker, time.time(), ()))
        except LogUnavailable as error:
            silence = time.monotonic() - self.heard_at
            if self.live and not self._unproven and silence > UNPROVEN_SECONDS:
                self._unproven = True
                _log.warning("feed unproven", shard=self.shard, silent_seconds=round(silence, 1), reason=str(error))
            await asyncio.sleep(MARKER_SECONDS / 2)
            return 0.0
        return time.monotonic()

    def _declare_gap(self, reason: str) -> None:
        _log.warning("gap in a shard", shard=self.shard, reason=reason)
        self._counters.gaps += 1
        self._gap = True
        self._primed = False
        self._doubtful = False
        self.window = Window(WINDOW_SECONDS)

    def _take(self, entry: Entry) -> None:
        found, position = read_entry(entry)
        # What nobody can read is as old as the newest batch before it, as far as can be said.
        batch = Batch(batches.VERSION, b"", self._appended, ()) if isinstance(found, BatchError) else found
        if not self._follows(position, batch.id):
            return
        if isinstance(found, BatchError):
            self._spoil(entry.offset, found)
        consumed = time.monotonic()
        told = told_of(batch, position, consumed - time.time())
        self.window.append(position, batch.appended, told)
        self._appended = batch.appended
        self._counters.batches += 1
        self._counters.changes += len(told)
        self._counters.markers += batch.is_marker
        self.lag = max(0.0, time.time() - batch.appended)
        if self._primed:
            followed = self._delivered(batch, consumed) if told else None
            self._events.batch(self.shard, position, told, consumed)
            if followed is not None:
                followed()
        goes_live = not self.live and batch.id == self._marker
        if goes_live:
            self.live = self._primed = True
        if self._gap and self._primed:
            self._gap = False
            self._events.gap(self.shard)
        if goes_live:
            self._events.live(self.shard, position)
        if batch.id in self._proofs:
            self._proofs[batch.id].set()

    def _spoil(self, offset: int, error: BatchError) -> None:
        _log.error("undecodable log entry", shard=self.shard, offset=offset, reason=str(error))
        self._counters.undecodable += 1
        # In a history that nobody has been told of, those who come back are judged one by one.
        self._gap = self._gap or self._primed
        self.window = Window(WINDOW_SECONDS)

    def _follows(self, position: Position, batch_id: bytes) -> bool:
        """Whether an entry is new; the last one known has to be there after a reattach, or there is a gap."""
        last = self.window.position
        if self._verified or last is None:
            return last is None or position.offset > last.offset
        if position == last:
            self._verified = True
            self._doubtful = False
            return False
        if position.offset < last.offset and batch_id != self._marker:
            return False
        self._declare_gap("the log does not continue where it was left")
        raise ReadLost("the log was recreated or cut")
