from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager

from asyncio_pprof.pprof.stacks import Symbols
from asyncio_pprof.pprof.tasks import all_tasks, task_stack
from tests.support.waiting import eventually, patient


async def innermost(event: asyncio.Event) -> None:
    await event.wait()


class Awaitable:
    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def __await__(self) -> Generator[object, None, None]:
        yield from innermost(self._event).__await__()


async def numbers(event: asyncio.Event) -> AsyncIterator[int]:
    yield 1
    await innermost(event)
    yield 2


async def outermost(event: asyncio.Event) -> None:
    await Awaitable(event)


async def iterating(event: asyncio.Event) -> None:
    async for _ in numbers(event):
        pass


def names(task: asyncio.Task[None]) -> list[str]:
    return [frame.function.rpartition(".")[2] for frame in task_stack(Symbols(), task)]


async def test_the_whole_await_chain() -> None:
    event = asyncio.Event()
    task = asyncio.create_task(outermost(event))
    await asyncio.sleep(0)
    assert names(task) == ["wait", "innermost", "__await__", "outermost"]
    event.set()
    await task
    assert names(task) == ["[no frame]"]


async def test_async_generators_are_in_the_chain() -> None:
    event = asyncio.Event()
    task = asyncio.create_task(iterating(event))
    await asyncio.sleep(0)
    assert names(task) == ["wait", "innermost", "numbers", "iterating"]
    event.set()
    await task


@contextmanager
def other_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_the_tasks_of_a_loop_that_runs_that_is_stuck_and_that_is_closed() -> None:
    with other_loop() as loop:
        sleeping = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop)
        await eventually(lambda: asyncio.all_tasks(loop))
        assert len(list(all_tasks(loop))) == 1
        stuck, released = threading.Event(), threading.Event()

        def stick() -> None:
            stuck.set()
            released.wait(patient(30))

        loop.call_soon_threadsafe(stick)
        await asyncio.to_thread(stuck.wait)
        assert len(list(all_tasks(loop))) == 1
        released.set()
        sleeping.cancel()
        await eventually(lambda: not asyncio.all_tasks(loop))
    assert list(all_tasks(loop)) == []
