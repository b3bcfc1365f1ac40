from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from tests.support.waiting import patient
from tidings.errors import Overloaded
from tidings.ops.pool import WorkerPool
from tidings.webmail.turns import AT_ONCE, WAITING, Turns


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(CollectorRegistry(), threads=AT_ONCE + 1, queued=1)
    yield pool
    pool.close()


async def started(turns: Turns, account: str, count: int, go_on: threading.Event) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(turns.run(account, lambda: go_on.wait(patient(30)))) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_an_account_whose_calls_are_slow_keeps_no_other_waiting(pool: WorkerPool) -> None:
    turns, go_on = Turns(pool), threading.Event()
    slow = await started(turns, "slow", AT_ONCE + WAITING, go_on)
    for _ in range(20):
        assert await turns.run("other", lambda: "answered") == "answered"
    with pytest.raises(Overloaded, match="this account"):
        await turns.run("slow", lambda: True)
    go_on.set()
    assert await asyncio.gather(*slow) == [True] * len(slow)
    assert await turns.run("slow", lambda: "again") == "again"


async def test_who_has_begun_an_answer_waits_for_room(pool: WorkerPool) -> None:
    turns, go_on = Turns(pool), threading.Event()
    full = await started(turns, "a", AT_ONCE + WAITING, go_on)
    patient = asyncio.create_task(turns.patiently("a", lambda: "at last"))
    await asyncio.sleep(0)
    assert not patient.done()
    go_on.set()
    assert await asyncio.wait_for(patient, 30) == "at last"
    await asyncio.gather(*full)


async def test_a_call_that_fails_or_is_given_up_hands_its_turn_on(pool: WorkerPool) -> None:
    turns, go_on = Turns(pool), threading.Event()
    first = await started(turns, "a", AT_ONCE, go_on)
    waiting = await started(turns, "a", 4, go_on)
    waiting[0].cancel()
    go_on.set()
    # The turns have come, and two who have them are cancelled before they know.
    await first[0]
    waiting[1].cancel()
    with suppress(asyncio.CancelledError):
        await waiting[1]
    assert await asyncio.wait_for(asyncio.gather(*first, *waiting[2:]), 30) == [True] * 4
    with pytest.raises(ZeroDivisionError):
        await turns.run("a", lambda: 1 // 0)
    for _ in range(AT_ONCE + 1):
        assert await turns.run("a", lambda: "again") == "again"


async def test_nothing_is_kept_of_an_account_that_has_gone(pool: WorkerPool) -> None:
    turns = Turns(pool)
    await asyncio.gather(*(turns.run("a", lambda: True) for _ in range(AT_ONCE + 2)))
    assert turns._running == {}
    assert turns._waiting == {}
