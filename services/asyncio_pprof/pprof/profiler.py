"""Puts the profilers of a process together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.routing import Route

from asyncio_pprof.home import Home
from asyncio_pprof.page import BELOW
from asyncio_pprof.pprof.cpu import CpuSampler
from asyncio_pprof.pprof.descriptors import Connections
from asyncio_pprof.pprof.heap import Heap
from asyncio_pprof.pprof.pages import Pages
from asyncio_pprof.pprof.sources import Sources
from asyncio_pprof.pprof.stacks import Modules
from asyncio_pprof.pprof.stalls import StallWatch
from asyncio_pprof.pprof.threads import ThreadStarts
from asyncio_pprof.pprof.waits import Waits


@dataclass(frozen=True, slots=True)
class Options:
    """What is profiled beyond what costs nothing."""

    program: str = "python"
    """What profiles call the program."""
    heap_frames: int = 0
    """Frames kept of each allocation's stack, for the life of the process; 0: allocations are not traced."""
    waits: bool = False
    """Whether waits for locks, queues and slots are measured."""


class Profiler:
    """The profilers of a process. Making one does nothing yet; `connections` lists what `fd` tells of."""

    def __init__(self, options: Options, connections: Connections, home: Home | None = None) -> None:
        self._options = options
        self._home = home
        self._connections = connections
        self._cpu = CpuSampler()
        self._watch = StallWatch()
        self._starts = ThreadStarts()
        self._heap = Heap(options.heap_frames, Modules(sys.path))
        self.waits = Waits()
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Set the signal handler and the hooks, in the main thread, before what is to be profiled is made."""
        self._cpu.install()
        self._starts.install()
        self._heap.install()
        if self._options.waits:
            self.waits.install()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop inside of this: its tasks and its stalls."""
        self._loop = asyncio.get_running_loop()
        with self._watch.watching(self._loop):
            yield
        self._loop = None

    def routes(self, below: str = BELOW) -> list[Route]:
        """Pages for operators. In a thread with a loop of its own they answer when the watched loop is stuck."""
        sources = Sources(self._heap, self._watch, self.waits, self._starts, self._connections, lambda: self._loop)
        return Pages(self._options.program, self._cpu, sources, self._home).routes(below)
