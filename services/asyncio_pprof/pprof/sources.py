"""The profiles that exist at any moment, each taken from what this process knows."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from asyncio_pprof.pprof import descriptors, tasks
from asyncio_pprof.pprof.cpu import InUse
from asyncio_pprof.pprof.heap import Heap
from asyncio_pprof.pprof.profile import (
    ALLOCS,
    BLOCK,
    FD,
    GOROUTINE,
    HEAP,
    MUTEX,
    THREADCREATE,
    Kind,
    Labels,
    Profile,
    Stack,
)
from asyncio_pprof.pprof.slices import in_slices
from asyncio_pprof.pprof.stacks import Symbols
from asyncio_pprof.pprof.stalls import StallWatch
from asyncio_pprof.pprof.tally import Tally
from asyncio_pprof.pprof.threads import ThreadStarts
from asyncio_pprof.pprof.waits import Waits

MUTEX_OFF = "waits are not measured: start the process with the mutex profile on"


@dataclass(frozen=True, slots=True)
class Source:
    """A profile by name: what it is, what it costs, how it is taken now. Its numbers are since the process started."""

    kind: Kind
    about: str
    cost: str
    take: Callable[[bool], Awaitable[Profile]]
    """Given whether to collect garbage first."""


class Sources:
    """All of them."""

    def __init__(
        self,
        heap: Heap,
        watch: StallWatch,
        waits: Waits,
        starts: ThreadStarts,
        connections: descriptors.Connections,
        loop: Callable[[], asyncio.AbstractEventLoop | None],
    ) -> None:
        self._heap = heap
        self._waits = waits
        self._connections = connections
        self._loop = loop
        self.by_name: Mapping[str, Source] = {
            source.kind.name: source
            for source in (
                Source(
                    HEAP,
                    "memory that Python's allocator holds, by what allocated it. Start the process with the heap "
                    "profile on, or use ?seconds=N: what was allocated in N seconds and not freed",
                    "off: nothing. On, or during these seconds: allocating is several times slower. A profile reads "
                    "all blocks",
                    lambda collect: self._space(HEAP, collect),
                ),
                Source(
                    ALLOCS,
                    "the same samples as heap, with at least all memory that was allocated, freed or not",
                    "the same as heap",
                    lambda collect: self._space(ALLOCS, collect),
                ),
                Source(
                    GOROUTINE,
                    "threads, and asyncio tasks by where they wait, innermost first. ?debug=2 lists each one",
                    "10 us for each task, in slices",
                    lambda _: self._goroutine(),
                ),
                Source(
                    BLOCK,
                    "times that the event loop was blocked for 50 ms or longer, by what blocked it",
                    "always on: 1% of a core",
                    lambda _: self._tallied(BLOCK, watch.stalls),
                ),
                Source(
                    MUTEX,
                    "waits for locks, semaphores, full queues and slots, if the process was started with the mutex "
                    "profile on",
                    "off: nothing. On: 0.2 us for each lock",
                    lambda _: self._tallied(MUTEX, waits.tally),
                ),
                Source(
                    THREADCREATE,
                    "threads, by what started them",
                    "always on: nothing",
                    lambda _: self._tallied(THREADCREATE, starts.tally),
                ),
                Source(
                    FD,
                    "open files, and connections by the kinds that the program names",
                    "2 us for each file, in slices",
                    lambda _: self._descriptors(),
                ),
            )
        }

    @asynccontextmanager
    async def over(self, name: str) -> AsyncIterator[None]:
        """Whatever has to be on while a profile of some seconds is taken. Raises InUse when it is on for another."""
        tracing = name in (HEAP.name, ALLOCS.name) and not self._heap.on
        if tracing and not self._heap.trace():
            raise InUse("allocations are being traced already")
        try:
            yield
        finally:
            if tracing:
                self._heap.trace_no_more()

    async def _space(self, kind: Kind, collect: bool) -> Profile:
        return await asyncio.to_thread(self._heap.profile, kind, collect=collect)

    async def _goroutine(self) -> Profile:
        now, symbols = time.time_ns(), Symbols()
        counts = Counter([key async for _, key in self.everything(symbols)])
        return Profile(GOROUTINE, {key: (count,) for key, count in counts.items()}, now)

    async def everything(self, symbols: Symbols) -> AsyncIterator[tuple[str, tuple[Stack, Labels]]]:
        """Title, stack and labels of each thread and task."""
        for name, stack in tasks.thread_stacks(symbols):
            yield f"thread {name}", (stack, tasks.label("thread"))
        loop = self._loop()
        if loop is not None:
            async for task in in_slices(tasks.all_tasks(loop)):
                yield f"task {task.get_name()}", (tasks.task_stack(symbols, task), tasks.label("task"))

    async def _tallied(self, kind: Kind, tally: Tally) -> Profile:
        samples: dict[tuple[Stack, Labels], tuple[int, ...]] = {
            (stack, ()): values for stack, values in tally.sums().items()
        }
        off = kind is MUTEX and not self._waits.on
        return Profile(kind, samples, time.time_ns(), comments=(MUTEX_OFF,) if off else ())

    async def _descriptors(self) -> Profile:
        kinds = Counter([descriptors.kind_of(link) async for link in in_slices(descriptors.links())])
        connections = Counter([names async for names in in_slices(self._connections())])
        return descriptors.profile(kinds, connections)
