"""A process's memory broken down by layer, each with what reading it cost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import NamedTuple

from asyncio_pprof.memory import allocators, procfs
from asyncio_pprof.memory.layers import LAYERS, SOCKET_BYTES, Row


class Reading(NamedTuple):
    """Bytes by layer, None for what cannot be known here, and the seconds that reading took by layer."""

    sizes: Mapping[str, int | None]
    seconds: Mapping[str, float]


def traced() -> int | None:
    """Bytes that tracemalloc follows, if it does."""
    return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None


class Breakdown:
    """Reads all layers, which takes about a millisecond and none of the event loop's structures.

    `sockets` counts the connections this process has; `heap` gives what a heap profiler in this process sees.
    """

    def __init__(self) -> None:
        self.sockets: Callable[[], int] = lambda: 0
        self.heap: Callable[[], int | None] = traced
        self._start: Mapping[str, int | None] = {}

    def begin(self) -> None:
        """What is there now is the ground that growth is counted from."""
        self._start = self.read().sizes

    def read(self) -> Reading:
        """Read every layer."""
        sizes: dict[str, int | None] = {}
        seconds: dict[str, float] = {}
        for read in (self._heap, _pymalloc, _malloc, _resident, self._kernel, _cgroup):
            began = time.perf_counter()
            found = read()
            took = time.perf_counter() - began
            sizes |= found
            seconds |= dict.fromkeys(found, took)
        return Reading(sizes, seconds)

    def rows(self) -> list[Row]:
        """Every layer, from the heap down."""
        reading = self.read()
        return [
            Row(layer, reading.sizes[layer.name], self._growth(layer.name, reading), reading.seconds[layer.name])
            for layer in LAYERS
        ]

    def _growth(self, name: str, reading: Reading) -> int | None:
        now, then = reading.sizes[name], self._start.get(name)
        # The cgroup's is the growth of everybody in it.
        return None if now is None or then is None or name.startswith("cgroup") else now - then

    def _heap(self) -> dict[str, int | None]:
        return {"heap_traced": self.heap()}

    def _kernel(self) -> dict[str, int | None]:
        return {"kernel_sockets": self.sockets() * SOCKET_BYTES}


def _pymalloc() -> dict[str, int | None]:
    found = allocators.pymalloc()
    return {"pymalloc_used": found and found.used, "pymalloc_held": found and found.held}


def _malloc() -> dict[str, int | None]:
    found = allocators.malloc()
    return {"malloc_used": found and found.used, "malloc_held": found and found.held}


def _resident() -> dict[str, int | None]:
    found = procfs.resident()
    return {
        "resident_anonymous": found.total - found.files,
        "resident_files": found.files,
        "resident": found.total,
    }


def _cgroup() -> dict[str, int | None]:
    found = procfs.cgroup()
    if found is None:
        return {"cgroup_usage": None, "cgroup_limit": None}
    return {"cgroup_usage": max(0, found.usage - found.cache), "cgroup_limit": found.limit}
