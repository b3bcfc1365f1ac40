from __future__ import annotations

import asyncio
import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from tests.support.waiting import eventually
from tidings.ops import loopwatch
from tidings.ops.loopwatch import LoopWatch, main_thread_seconds


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


async def test_a_loop_that_stands_still_has_late_timers(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopwatch, "TICK_SECONDS", 0.02)
    watching = asyncio.create_task(LoopWatch(registry).run())
    await eventually(lambda: registry.get_sample_value("tidings_loop_late_seconds_bucket", {"le": "+Inf"}))
    time.sleep(0.3)  # noqa: ASYNC251 - this is the stall
    await eventually(lambda: (registry.get_sample_value("tidings_loop_late_seconds_sum") or 0.0) >= 0.2)
    watching.cancel()


def test_the_main_threads_time_is_read_from_another_thread(registry: CollectorRegistry) -> None:
    LoopWatch(registry)
    read: list[float] = []

    def elsewhere() -> None:
        read.append(main_thread_seconds())

    def ask() -> float:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return read[-1]

    before = ask()
    worked = time.thread_time()
    while time.thread_time() - worked < 0.1:
        pass
    assert ask() - before >= 0.1
    assert (registry.get_sample_value("tidings_loop_cpu_seconds_total") or 0.0) >= before + 0.1
