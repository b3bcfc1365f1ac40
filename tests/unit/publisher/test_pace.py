from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.publisher import batch_traces
from tests.support.virtual import VirtualLoop, virtual_time
from tidings.bus.memory import MemoryLog
from tidings.publisher.batcher import Batcher
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.pace import MAX_SECONDS, WINDOW_SECONDS, Pace, interval
from tidings.wire.batch import decode
from tidings.wire.change import Change

CONFIRM_SECONDS = 0.0005
MARGIN = 1e-4


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [(0.0, 0.0), (62.5, 0.0), (199.0, 0.0), (200.0, 0.005), (625.0, 0.005), (1_600.0, 0.005), (8_000.0, 0.001)],
)
def test_nothing_waits_at_light_load_and_never_longer_than_it_takes_to_fill(rate: float, seconds: float) -> None:
    assert interval(rate) == pytest.approx(seconds)


@given(rate=st.floats(0, 1e6), more=st.floats(0, 1e6))
def test_nothing_waits_for_more_than_a_few_milliseconds_nor_for_what_will_not_come(rate: float, more: float) -> None:
    assert 0 <= interval(rate) <= MAX_SECONDS
    assert not interval(rate) or rate * interval(rate) >= 1 - 1e-9
    if interval(rate):
        assert interval(rate + more) <= interval(rate)


def test_a_shard_is_known_to_be_busy_once_it_has_been_for_a_while_and_forgotten_after_a_pause() -> None:
    pace = Pace()
    for number in range(100):
        pace.arrived(number / 1000)
        pace.begun(number / 1000)
        assert pace.wait(number / 1000) == 0
    assert pace.wait(WINDOW_SECONDS) == pytest.approx(0.099 + MAX_SECONDS - WINDOW_SECONDS)
    # Whose last batch is long gone waits for nothing.
    assert pace.wait(0.099 + MAX_SECONDS) == 0
    pace.begun(0.3)
    assert pace.wait(0.3) == 0


class Log(MemoryLog):
    """Confirms after a while. `begun` and `sizes` are of each append."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(1)
        self.begun: list[float] = []
        self.sizes: list[int] = []
        self._clock = clock

    async def append(self, shard: int, payload: bytes) -> None:
        self.begun.append(self._clock())
        self.sizes.append(len(decode(payload).changes))
        await asyncio.sleep(CONFIRM_SECONDS)
        await super().append(shard, payload)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with virtual_time() as loop:
        yield loop


async def played(loop: VirtualLoop, rate: float, seconds: float) -> tuple[Log, list[float]]:
    """One shard of a publisher for so long: its log, and how long each change took to its confirm."""
    log = Log(loop.time)
    await log.open()
    batcher = Batcher(log, PublisherMetrics(CollectorRegistry()), batch_traces(), clock=loop.time)
    await batcher.start()
    chance = random.Random(0)
    taken: list[float] = []

    async def tell(number: int) -> None:
        start = loop.time()
        await batcher.submit((Change("alice", {"Email": str(number)}, "FlagsSet", str(number), "test"),))
        taken.append(loop.time() - start)

    telling: list[asyncio.Task[None]] = []
    end = loop.time() + seconds
    while loop.time() < end:
        telling.append(asyncio.create_task(tell(len(telling))))
        await asyncio.sleep(chance.expovariate(rate))
    await asyncio.gather(*telling)
    await batcher.stop()
    await log.close()
    return log, taken


def test_at_light_load_no_change_waits(loop: VirtualLoop) -> None:
    """60 changes a second: what a shard has of a thousand."""
    log, taken = loop.run_until_complete(played(loop, 60.0, 20.0))
    assert max(taken) < 2 * CONFIRM_SECONDS + MARGIN
    assert sum(log.sizes) == len(taken)


@pytest.mark.parametrize(("rate", "fill"), [(312.0, 1.6), (625.0, 3.0), (3_000.0, 7.0)])
def test_under_load_entries_fill_and_nothing_waits_long(loop: VirtualLoop, rate: float, fill: float) -> None:
    log, taken = loop.run_until_complete(played(loop, rate, 5.0))
    assert max(taken) < MAX_SECONDS + 2 * CONFIRM_SECONDS + MARGIN
    assert len(taken) / len(log.sizes) > fill
