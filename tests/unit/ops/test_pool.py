"""The pool for blocking work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from threading import Event, current_thread

import pytest
from prometheus_client import CollectorRegistry

from tests.support.waiting import patient
from tidings.errors import Overloaded
from tidings.ops.pool import WorkerPool

DEADLINE = 10.0


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def pool(registry: CollectorRegistry) -> Iterator[WorkerPool]:
    pool = WorkerPool(registry, 1, 2)
    yield pool
    pool.close()


def fail() -> None:
    raise ValueError("of the function")


async def test_it_gives_back_what_the_function_does_in_a_thread(pool: WorkerPool) -> None:
    assert (await pool.run(lambda: current_thread().name)).startswith("worker")
    with pytest.raises(ValueError, match="of the function"):
        await pool.run(fail)


async def test_a_full_pool_is_an_answer(pool: WorkerPool, registry: CollectorRegistry) -> None:
    go_on = Event()
    calls = [asyncio.create_task(pool.run(lambda: go_on.wait(patient(DEADLINE)))) for _ in range(3)]
    await asyncio.sleep(0)
    assert registry.get_sample_value("tidings_pool_running") == 1
    assert registry.get_sample_value("tidings_pool_queued") == 2
    with pytest.raises(Overloaded):
        await pool.run(lambda: None)
    assert registry.get_sample_value("tidings_pool_rejections_total") == 1
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    with pytest.raises(Overloaded):
        await pool.run(lambda: None)
    go_on.set()
    assert await asyncio.gather(*calls[1:]) == [True, True]
    assert await pool.run(lambda: "again") == "again"


async def test_waits_for_a_thread_are_told_from_begin_to_end(registry: CollectorRegistry) -> None:
    told: list[str] = []

    def begin() -> Callable[[], None]:
        told.append("begun")
        return lambda: told.append("over")

    pool = WorkerPool(registry, 1, 2, begin)
    try:
        go_on = Event()
        first = asyncio.create_task(pool.run(lambda: go_on.wait(patient(DEADLINE))))
        await asyncio.sleep(0)
        assert told == []
        second = asyncio.create_task(pool.run(lambda: list(told)))
        await asyncio.sleep(0)
        assert told == ["begun"]
        go_on.set()
        assert await first
        assert await second == ["begun", "over"]
    finally:
        pool.close()
