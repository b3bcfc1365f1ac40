"""A service with known faults: `python -m tests.support.planted planted [flags]`, /plant/FAULT on its admin port."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tidings.ops.process.lifecycle import run
from tidings.ops.process.runtime import Runtime
from tidings.ops.settings.common import OpsSettings, parse

TASKS = 1_000
LEAKED = 200
BLOCK_BYTES = 50_000
STALL_SECONDS = 1.0
STUCK_SECONDS = 300.0


class Planted:
    name = "planted"

    def __init__(self, runtime: Runtime) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaked: list[bytearray] = []
        self._lock = threading.Lock()
        self._async_lock = asyncio.Lock()
        runtime.pages.append(Route("/plant/{fault}", self._plant))
        runtime.connections.append(lambda: [("client", "odd", "parked")] * 7)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _plant(self, request: Request) -> Response:
        assert self._loop is not None
        planted = asyncio.Event()
        own = asyncio.get_running_loop()

        def plant() -> None:
            getattr(self, request.path_params["fault"])()
            own.call_soon_threadsafe(planted.set)

        self._loop.call_soon_threadsafe(plant)
        if "stuck" not in request.url.path:
            await planted.wait()
        return PlainTextResponse("planted")

    def _spawn(self, coroutine: object) -> None:
        assert self._loop is not None
        self._tasks.add(self._loop.create_task(coroutine))  # type: ignore[arg-type]

    def burn(self) -> None:
        self._spawn(self._burning())

    async def _burning(self) -> None:
        while True:
            burn_here()
            await asyncio.sleep(0)

    def burn_elsewhere(self) -> None:
        threading.Thread(target=burn_in_a_thread, name="burner", daemon=True).start()

    def sleep_elsewhere(self) -> None:
        threading.Thread(target=sleep_here, name="sleeper", daemon=True).start()

    def leak(self) -> None:
        leak_here(self._leaked)

    def leak_on(self) -> None:
        self._spawn(self._leaking())

    async def _leaking(self) -> None:
        while True:
            leak_slowly(self._leaked)
            await asyncio.sleep(0.1)

    def stall(self) -> None:
        stall_here(STALL_SECONDS)

    def stuck(self) -> None:
        stall_here(STUCK_SECONDS)

    def wait(self) -> None:
        for _ in range(TASKS):
            self._spawn(wait_here())

    def contend(self) -> None:
        """One that holds each lock for longer than another wants to wait."""
        threading.Thread(target=hold, args=(self._lock,), daemon=True).start()
        threading.Thread(target=contend_here, args=(self._lock,), daemon=True).start()
        self._spawn(async_hold(self._async_lock))
        self._spawn(async_contend_here(self._async_lock))


def burn_here() -> int:
    end = time.monotonic() + 0.01
    turns = 0
    while time.monotonic() < end:
        turns += 1
    return turns


def burn_in_a_thread() -> None:
    while True:
        burn_here()


def sleep_here() -> None:
    time.sleep(3600)


def leak_here(leaked: list[bytearray]) -> None:
    leaked.extend(bytearray(BLOCK_BYTES) for _ in range(LEAKED))


def leak_slowly(leaked: list[bytearray]) -> None:
    leaked.append(bytearray(BLOCK_BYTES))


def stall_here(seconds: float) -> None:
    time.sleep(seconds)


async def wait_here() -> None:
    await asyncio.sleep(3600)


def hold(lock: threading.Lock) -> None:
    while True:
        with lock:
            time.sleep(0.05)


def contend_here(lock: threading.Lock) -> None:
    while True:
        with lock:
            pass
        time.sleep(0.001)


async def async_hold(lock: asyncio.Lock) -> None:
    while True:
        async with lock:
            await asyncio.sleep(0.05)


async def async_contend_here(lock: asyncio.Lock) -> None:
    while True:
        async with lock:
            pass
        await asyncio.sleep(0.001)


def main() -> int:
    settings = parse(OpsSettings, "planted", sys.argv[2:])
    return run(settings, "planted", lambda runtime: [Planted(runtime)])


if __name__ == "__main__":
    sys.exit(main())
