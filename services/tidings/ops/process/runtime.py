"""What every service of a process is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from prometheus_client import CollectorRegistry
from starlette.routing import Route

from asyncio_pprof import Options, Profiling
from asyncio_pprof.memory import Breakdown
from asyncio_pprof.pprof import Connections, Profiler
from asyncio_pprof.traces import Book
from tidings.ops.admin.home import DASHBOARD
from tidings.ops.budget import Budget
from tidings.ops.gc_schedule import Pauses
from tidings.ops.health import Health
from tidings.ops.loopwatch import LoopWatch
from tidings.ops.metrics import HotMetrics, added, new_registry
from tidings.ops.pool import WorkerPool
from tidings.ops.pressure import MemoryWatch, memory_watch
from tidings.ops.settings.common import OpsSettings


@dataclass(frozen=True, slots=True)
class Runtime:
    """What every service is given. While it is composed, it adds its own to some of it.

    `pages` are those of the admin listener, `connections` what tells which client connections there are; `published` is
    what the dashboard shows beside metrics, by name. These are used in that listener's thread.
    """

    registry: CollectorRegistry
    health: Health
    pages: list[Route]
    connections: list[Connections]
    profiler: Profiler
    memory: Breakdown
    published: dict[str, Callable[[], object]]
    started: list[Callable[[], None]]
    requests: Book
    budget: Budget
    pressure: MemoryWatch
    pool: WorkerPool
    pauses: Pauses
    watch: LoopWatch


def new_runtime(
    *, health: Health | None = None, profiling: Options | None = None, memory_limit: int = 0, processes: int = 1
) -> Runtime:
    """The runtime of a process: one of `processes` that share `memory_limit` bytes.

    0 is what the container, or else the machine, has.
    """
    registry = new_registry()
    connections: list[Connections] = []
    pauses = Pauses(registry)
    pages = Profiling(
        profiling or Options(),
        connections=lambda: chain.from_iterable(each() for each in connections),
        pauses=pauses.buckets,
        home=DASHBOARD,
    )
    watch_memory(registry, pages.memory)
    budget, pressure = memory_watch(registry, memory_limit, processes)
    return Runtime(
        registry=registry,
        health=health or Health(),
        pages=list(pages.routes()),
        connections=connections,
        profiler=pages.profiler,
        memory=pages.memory,
        published={},
        started=[],
        requests=pages.requests,
        budget=budget,
        pressure=pressure,
        pool=WorkerPool(registry, begin_wait=pages.profiler.waits.begin),
        pauses=pauses,
        watch=LoopWatch(registry),
    )


def profiling(settings: OpsSettings, command: str) -> Options:
    """What of a process is profiled, by its settings."""
    return Options(f"tidings-{command}", settings.heap_profile, settings.mutex_profile)


def watch_memory(registry: CollectorRegistry, breakdown: Breakdown) -> None:
    """Expose the layers of memory: about a millisecond of a scrape."""

    def known(*, of_cgroup: bool) -> dict[str, float]:
        sizes = breakdown.read().sizes
        return {
            name: size for name, size in sizes.items() if size is not None and name.startswith("cgroup") == of_cgroup
        }

    metrics = HotMetrics(registry)
    metrics.labelled_gauge(
        "tidings_memory_bytes",
        "Memory of the process, by layer",
        ["layer"],
        lambda: known(of_cgroup=False),
        merged=added,
    )
    metrics.labelled_gauge(
        "tidings_cgroup_memory_bytes",
        "Memory of the container, without cache that can be dropped, and its limit",
        ["layer"],
        lambda: known(of_cgroup=True),
        # All workers are in one container.
        merged=max,
    )
