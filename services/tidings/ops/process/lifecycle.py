"""The life of a process: start its services in order, beat, wait for a signal, stop in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
import uvloop

from tidings.errors import SettingsError
from tidings.ops import logs, systemd
from tidings.ops.admin.guard import admin_access
from tidings.ops.admin.listeners import OpsListeners, ops_sockets
from tidings.ops.gc_schedule import collecting_on_schedule
from tidings.ops.health import BEAT_SECONDS, Health, expose
from tidings.ops.process.runtime import Runtime, new_runtime, profiling
from tidings.ops.service import Service
from tidings.ops.settings.common import OpsSettings

_log = structlog.get_logger()


Compose = Callable[[Runtime], Sequence[Service]]


def run(settings: OpsSettings, command: str, compose: Compose) -> int:
    """Run what `compose` gives, as this command, until SIGTERM or SIGINT; the process's exit code.

    Raises SettingsError when it cannot start because of something the operator has to change.
    """
    logs.configure(settings.log_format, settings.log_level)
    access = admin_access(settings)
    runtime = new_runtime(profiling=profiling(settings, command), memory_limit=settings.memory_limit_bytes)
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
    beating = asyncio.create_task(_beat(runtime.health, watched=lifeline is None), name="beat")
    watching = asyncio.create_task(runtime.watch.run(), name="loop watch")
    pressing = asyncio.create_task(runtime.pressure.run(), name="memory watch")
    try:
        async with _running(services, runtime):
            _log.info("started", services=[service.name for service in services])
            if lifeline is None:
                tell_started()
            for tell in runtime.started:
                tell()
            await asked.wait()
            if lifeline is not None:
                loop.remove_reader(lifeline)
            else:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
                    # Python's own handler of SIGINT would unwind, at leisure and with a traceback.
                    signal.signal(number, signal.SIG_DFL)
            _log.info("stopping")
            if lifeline is None:
                systemd.notify("STOPPING=1")
    finally:
        beating.cancel()
        watching.cancel()
        pressing.cancel()
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


def tell_started() -> None:
    """Tell systemd that the service serves, and the log of sockets that it was given for nothing."""
    systemd.notify("READY=1")
    if addresses := systemd.not_taken():
        _log.warning("systemd opened sockets that no setting uses: nothing answers on them", addresses=addresses)


async def _beat(health: Health, *, watched: bool) -> None:
    while True:
        health.beat()
        if watched:
            systemd.beat()
        await asyncio.sleep(BEAT_SECONDS)
