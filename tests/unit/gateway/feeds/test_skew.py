from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.unreliable import UnreliableLog
from tests.support.waiting import eventually
from tidings.errors import ReadLost
from tidings.gateway.feeds import skew
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.pool import Feed, Proof
from tidings.gateway.feeds.skew import LAST_SECOND, NEAR_SECONDS, SkewWatch, measure
from tidings.gateway.feeds.window import Window
from tidings.wire import batch

TIMES = st.floats(0, LAST_SECOND - 1)


@given(TIMES, st.one_of(TIMES, st.floats(-1000, 1000)))
def test_any_time_is_found_with_few_questions(happened: float, guess: float) -> None:
    asked: list[float] = []

    async def is_since(at: float) -> bool:
        asked.append(at)
        return at <= happened

    if guess <= 1000:
        guess += happened
    found = asyncio.run(measure(is_since, guess))
    assert found == pytest.approx(happened, abs=NEAR_SECONDS + 0.01)
    assert len(asked) < 80
    assert all(0 <= at <= LAST_SECOND for at in asked)
    if abs(guess - happened) < NEAR_SECONDS:
        assert len(asked) == 2


@pytest.mark.parametrize("answer", [True, False])
def test_what_is_at_no_time_is_left_where_it_was_thought_to_be(answer: bool) -> None:
    async def is_since(at: float) -> bool:
        return answer

    assert asyncio.run(measure(is_since, 1e9)) == 1e9


class Reader:
    """A feed that is live, of a log with a clock of its own."""

    live = True
    lag = silence = 0.0
    window = Window(300.0)

    def __init__(self, log: UnreliableLog) -> None:
        self.log = log

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def prove(self) -> Proof | None:
        sent = time.monotonic()
        await self.log.append(0, batch.encode(bytes(16), 0.0, ()))
        stored = self.log._shards[0]
        return Proof(0, stored.first + len(stored.entries) - 1, sent)


class World:
    def __init__(self) -> None:
        self.log = UnreliableLog(1)
        self.clock = LogClock()
        self.feeds: dict[int, Feed] = {0: Reader(self.log)}
        self.watch = SkewWatch(self.log, self.feeds, self.clock)


@asynccontextmanager
async def watching(behind: float = 0.0) -> AsyncIterator[World]:
    world = World()
    world.log.behind = behind
    await world.log.open()

    world.watch.start()
    try:
        yield world
    finally:
        await world.watch.stop()
        await world.log.close()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(skew, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(skew, "SILENCE_SECONDS", 0.02)


@pytest.mark.parametrize("behind", [400.0, -400.0, 86_400.0 * 365])
async def test_a_clock_that_differs_is_measured_and_told_of_once(behind: float) -> None:
    with capture_logs() as logs:
        async with watching(behind) as world:
            await eventually(lambda: logs)
            assert world.clock.ahead == pytest.approx(behind, abs=2)
            for _ in range(3):
                measured = world.clock.offset
                world.clock.doubt()
                await eventually(lambda: not world.clock.doubted)
            assert world.clock.offset == pytest.approx(measured, abs=2)
    (line,) = logs
    assert line["event"] == "the clock of this gateway differs from the clock of the log"
    assert line["log_level"] == "warning"
    assert line["ahead_seconds"] == pytest.approx(behind, abs=2)


async def test_clocks_that_agree_are_nothing_to_tell_of() -> None:
    with capture_logs() as logs:
        async with watching() as world:
            await eventually(lambda: world.watch._due)
            assert world.clock.ahead == pytest.approx(0, abs=0.1)
    assert logs == []


async def test_that_the_logs_clock_was_set_is_found_out_by_who_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        async with watching() as world:
            await eventually(lambda: world.watch._due)
            world.log.behind = 3600.0
            world.clock.doubt()
            await eventually(lambda: logs)
            assert world.clock.ahead == pytest.approx(3600, abs=2)
            world.log.behind = 0.0
            world.clock.doubt()
            await eventually(lambda: len(logs) == 2)
    assert [line["event"] for line in logs] == [
        "the clock of this gateway differs from the clock of the log",
        "the clock of this gateway agrees with the clock of the log again",
    ]


async def test_that_our_clock_was_set_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, step = time.time, 0.0
    with capture_logs() as logs:
        async with watching() as world:
            await eventually(lambda: world.watch._due)
            monkeypatch.setattr("tidings.gateway.feeds.log_clock.time.time", lambda: real() + step)
            step = 3600.0
            # The log in memory goes by the clock that was set.
            world.log.behind = 3600.0
            await eventually(lambda: logs)
            assert world.clock.ahead == pytest.approx(3600, abs=2)
    assert len(logs) == 1


async def test_without_a_feed_that_is_live_nothing_is_measured() -> None:
    async with watching(400.0) as world:
        reader = world.feeds.pop(0)
        await asyncio.sleep(0.05)
        assert world.clock.ahead == pytest.approx(0, abs=0.1)
        world.feeds[0] = reader
        await eventually(lambda: world.clock.ahead > 300)


@pytest.mark.parametrize(
    ("error", "lines"), [(ReadLost("cut"), 0), (TimeoutError(), 0), (KeyError("a fault"), 1)], ids=repr
)
async def test_after_a_failure_it_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception, lines: int) -> None:
    errors = [error]
    prove: Callable[[Reader], object] = Reader.prove

    async def fail(self: Reader) -> Proof | None:
        if errors:
            raise errors.pop()
        return await prove(self)  # type: ignore[misc, no-any-return]

    monkeypatch.setattr(Reader, "prove", fail)
    with capture_logs() as logs:
        async with watching(400.0) as world:
            await eventually(lambda: world.clock.ahead > 300)
    assert [line["error"] for line in logs if line["event"] == "the clock of the log was not measured"] == [
        "KeyError('a fault')"
    ] * lines


async def test_a_log_that_takes_no_marker_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew, "ENTRY_SECONDS", 0.1)
    async with watching(400.0) as world:
        await eventually(lambda: world.log.attached)
        world.log.accepts = False
        await eventually(lambda: world.watch._due)
        assert world.clock.ahead == pytest.approx(0, abs=0.1)
        world.log.accepts = True
        await eventually(lambda: world.clock.ahead > 300)


async def test_a_feed_that_stops_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(self: Reader) -> Proof | None:
        return None

    monkeypatch.setattr(Reader, "prove", stopped)
    async with watching(400.0) as world:
        await eventually(lambda: world.watch._due)
        assert world.clock.ahead == pytest.approx(0, abs=0.1)
