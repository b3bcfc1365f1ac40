"""How far the log's clock and ours are apart: measured now and again, told in the log when it is much.

RabbitMQ tells nobody what its clock shows. But where a read from some time begins says whether an entry was appended
before that time. So a marker is appended, and the second in which it was is searched for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from secrets import token_bytes
from typing import Final

import structlog

from tidings.bus.log import ChangeLog, FromTime
from tidings.errors import LogError, LogUnavailable
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.pool import Feed, Proof
from tidings.wire import batch as batches

LOOK_SECONDS: Final = 1.0
MEASURE_SECONDS: Final = 300.0
"""Between two measurements, as long as nothing says that the clocks are apart."""
RETRY_SECONDS: Final = 30.0
ENTRY_SECONDS: Final = 10.0
"""How long the first entry of a read may take."""
SILENCE_SECONDS: Final = 0.3
"""After so much silence a marker is appended: the read has begun with what comes next, or is about to."""
NEAR_SECONDS: Final = 2.0
"""Clocks that are no further apart agree: the log's is measured in whole seconds."""
GROWTH: Final = 4
LAST_SECOND: Final = 253_402_300_799.0
"""The end of the year 9999, in Unix seconds."""
TOLD_SECONDS: Final = 5.0
"""What is told in the log: clocks that are further apart, and that they are by so much more or less than was told."""

_log = structlog.get_logger()


async def measure(is_since: Callable[[float], Awaitable[bool]], guess: float) -> float:
    """When something happened by a clock that only answers whether it was at some time or later, in Unix seconds.

    The guess itself where it is right to NEAR_SECONDS, or where nothing is; else right to a second. The further the
    guess is off, the more is asked, by the logarithm of the distance.
    """
    guess = min(max(guess, NEAR_SECONDS), LAST_SECOND - NEAR_SECONDS)
    low, high, step = guess - NEAR_SECONDS, guess + NEAR_SECONDS, NEAR_SECONDS
    if not await is_since(low):
        while low > 0:
            step *= GROWTH
            low, high = max(0.0, low - step), low
            if await is_since(low):
                break
        else:
            return guess
    elif await is_since(high):
        while high < LAST_SECOND:
            step *= GROWTH
            low, high = high, min(LAST_SECOND, high + step)
            if not await is_since(high):
                break
        else:
            return guess
    else:
        return guess
    while high - low > 1:
        middle = (low + high) / 2
        if await is_since(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


class SkewWatch:
    """Measures the log's clock by one of the feeds that are live, and tells of it."""

    def __init__(self, log: ChangeLog, feeds: Mapping[int, Feed], clock: LogClock) -> None:
        self._log = log
        self._feeds = feeds
        self._clock = clock
        self._due = 0.0
        self._ahead = 0.0
        """How far we were ahead when that was last measured: another figure means that somebody has set a clock."""
        self._told = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="clock skew")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self._is_due():
                    await self._measure()
            except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to look no more
                _log.exception("the clock of the log was not measured", error=repr(error))
                self._due = time.monotonic() + RETRY_SECONDS
            self._tell()

    def _is_due(self) -> bool:
        clock = self._clock
        return clock.doubted or time.monotonic() >= self._due or abs(clock.ahead - self._ahead) > NEAR_SECONDS

    async def _measure(self) -> None:
        feed = next((feed for feed in self._feeds.values() if feed.live), None)
        if feed is None:
            return
        self._clock.doubted = False
        self._ahead = self._clock.ahead
        try:
            proof = await feed.prove()
            if proof is not None:
                guess = proof.sent + self._clock.offset
                self._clock.set(await measure(lambda at: self._is_since(proof, at), guess), proof.sent)
                self._ahead = self._clock.ahead
        except (LogError, TimeoutError):
            self._due = time.monotonic() + RETRY_SECONDS
        else:
            self._due = time.monotonic() + MEASURE_SECONDS

    async def _is_since(self, proof: Proof, at: float) -> bool:
        """Whether a marker was appended at this time or later, by the log's clock."""
        async with asyncio.timeout(ENTRY_SECONDS), aclosing(self._log.read(proof.shard, FromTime(at))) as entries:
            marking = asyncio.create_task(self._mark(proof.shard), name="clock skew markers")
            try:
                return (await anext(entries)).offset <= proof.offset
            finally:
                marking.cancel()
                await asyncio.gather(marking, return_exceptions=True)

    async def _mark(self, shard: int) -> None:
        while True:
            await asyncio.sleep(SILENCE_SECONDS)
            with suppress(LogUnavailable):
                await self._log.append(shard, batches.encode(token_bytes(batches.ID_BYTES), self._clock.now(), ()))

    def _tell(self) -> None:
        ahead = self._clock.ahead
        if abs(ahead - self._told) < TOLD_SECONDS:
            return
        if abs(ahead) < TOLD_SECONDS:
            self._told = 0.0
            _log.info("the clock of this gateway agrees with the clock of the log again")
        else:
            self._told = ahead
            _log.warning("the clock of this gateway differs from the clock of the log", ahead_seconds=round(ahead, 1))
