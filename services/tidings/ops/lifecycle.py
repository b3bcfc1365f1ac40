"""The life of a process: start its services in order, beat, wait for a signal, stop in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import structlog
import uvloop
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from tidings.errors import SettingsError
from tidings.ops import logs
from tidings.ops.admin import OpsListeners, ops_sockets
from tidings.ops.collector import Pauses, collecting_on_schedule
from tidings.ops.guard import admin_access
from tidings.ops.health import BEAT_SECONDS, Health, expose
from tidings.ops.loopwatch import LoopWatch
from tidings.ops.memory import MemoryAccount, MemoryPages
from tidings.ops.metrics import new_registry, watch_memory
from tidings.ops.pool import WorkerPool
from tidings.ops.pprof import Connections, Options, Profiler
from tidings.ops.requests import Book, RequestPages
from tidings.ops.settings import OpsSettings

_log = structlog.get_logger()


class Service(Protocol):
    """A part of a process that is started and stopped."""

    @property
    def name(self) -> str:
        """What log lines call it."""

    async def start(self) -> None:
        """Begin to serve. Raises SettingsError for what the operator has to change."""

    async def stop(self) -> None:
        """End, cleanly and soon. Not called unless `start` returned."""


@dataclass(frozen=True)
class Runtime:
    """What every service is given. While it is composed, it adds its own to some of it.

    `pages` are those of the admin listener, `connections` what tells which client connections there are; `published` is
    what the dashboard shows beside metrics, by name. These are used in that listener's thread.
    """

    registry: CollectorRegistry = field(default_factory=new_registry)
    health: Health = field(default_factory=Health)
    profiling: Options = field(default_factory=Options)
    pages: list[Route] = field(default_factory=list)
    connections: list[Connections] = field(default_factory=list)
    profiler: Profiler = field(init=False)
    memory: MemoryAccount = field(default_factory=MemoryAccount)
    published: dict[str, Callable[[], object]] = field(default_factory=dict)
    requests: Book = field(default_factory=Book)
    pool: WorkerPool = field(init=False)
    pauses: Pauses = field(init=False)
    watch: LoopWatch = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "profiler", Profiler(self.profiling, self._all_connections))
        object.__setattr__(self, "pool", WorkerPool(self.registry, begin_wait=self.profiler.waits.begin))
        self.pages.extend(self.profiler.routes())
        object.__setattr__(self, "pauses", Pauses(self.registry))
        object.__setattr__(self, "watch", LoopWatch(self.registry))
        watch_memory(self.registry, self.memory)
        self.pages.extend(MemoryPages(self.memory, self.pauses.buckets).routes())
        self.pages.extend(RequestPages(self.requests).routes())

    def _all_connections(self) -> Iterable[tuple[str, ...]]:
        return chain.from_iterable(connections() for connections in self.connections)


def profiling(settings: OpsSettings, command: str) -> Options:
    """What of a process is profiled, by its settings."""
    return Options(f"tidings-{command}", settings.heap_profile, settings.mutex_profile)


Compose = Callable[[Runtime], Sequence[Service]]


def run(settings: OpsSettings, command: str, compose: Compose) -> int:
    """Run what `compose` gives, as this command, until SIGTERM or SIGINT; the process's exit code.

    Raises SettingsError when it cannot start because of something the operator has to change.
    """
    logs.configure(settings.log_format, settings.log_level)
    access = admin_access(settings)
    runtime = Runtime(profiling=profiling(settings, command))
    runtime.profiler.install()
    expose(runtime.health, command, runtime.registry)
    services = compose(runtime)
    listeners = OpsListeners(
        f"tidings {command}",
        ops_sockets(settings),
        runtime.registry,
        runtime.health,
        access,
        runtime.pages,
        runtime.published,
    )
    serve(services, runtime, listeners)
    return 0


def serve(services: Sequence[Service], runtime: Runtime, listeners: OpsListeners, lifeline: int | None = None) -> None:
    """Run services until SIGTERM or SIGINT, of which a second one means now, or until the `lifeline` is cut.

    The lifeline of a process that has a supervisor is a pipe: its end means that the supervisor stops or is gone.
    Further signals then mean nothing, for a terminal or an init system sends the same one to supervisor and workers.

    Raises SettingsError when they cannot start because of something the operator has to change.
    """
    listeners.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(services, runtime, lifeline))
    finally:
        listeners.stop()


async def _serve(services: Sequence[Service], runtime: Runtime, lifeline: int | None) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    if lifeline is not None:
        loop.add_reader(lifeline, asked.set)
    beating = asyncio.create_task(_beat(runtime.health), name="beat")
    watching = asyncio.create_task(runtime.watch.run(), name="loop watch")
    try:
        async with _running(services, runtime):
            _log.info("started", services=[service.name for service in services])
            await asked.wait()
            if lifeline is not None:
                loop.remove_reader(lifeline)
            else:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
                    # Python's own handler of SIGINT would unwind, at leisure and with a traceback.
                    signal.signal(number, signal.SIG_DFL)
            _log.info("stopping")
    finally:
        beating.cancel()
        watching.cancel()
    _log.info("stopped")


@contextlib.asynccontextmanager
async def _running(services: Sequence[Service], runtime: Runtime) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(runtime.profiler.watching())
        stack.callback(runtime.pool.close)
        for service in services:
            try:
                await service.start()
            except OSError as error:
                raise SettingsError(f"{service.name}: {error.strerror or error}") from error
            stack.push_async_callback(service.stop)
        await stack.enter_async_context(collecting_on_schedule(runtime.pauses))
        runtime.memory.begin()
        yield


async def _beat(health: Health) -> None:
    while True:
        health.beat()
        await asyncio.sleep(BEAT_SECONDS)
