from __future__ import annotations

import asyncio
import time

from tidings.publisher.sources.imap.gate import AT_ONCE, Gate


async def test_so_many_at_once_and_no_more() -> None:
    gate = Gate(10_000.0)
    inside, most, release = 0, 0, asyncio.Event()

    async def enter() -> None:
        nonlocal inside, most
        async with gate.turn():
            inside += 1
            most = max(most, inside)
            await release.wait()
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(3 * AT_ONCE):
            group.create_task(enter())
        while inside < AT_ONCE:
            await asyncio.sleep(0.001)
        release.set()
    assert most == AT_ONCE


async def test_so_many_a_second() -> None:
    gate = Gate(50.0)
    start = time.monotonic()
    for _ in range(6):
        async with gate.turn():
            pass
    assert time.monotonic() - start >= 0.1
