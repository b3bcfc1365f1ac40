"""The publisher and its log in the test's own process, for tests that look at both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

from asyncio_pprof.traces import Family, Sampler
from tests.support import waiting
from tests.support.unreliable import UnreliableLog
from tests.support.waiting import within
from tidings.bus.log import FromOffset
from tidings.bus.memory import MemoryLog
from tidings.ops.http.serving import UvicornService
from tidings.ops.process.runtime import Runtime, new_runtime
from tidings.ops.service import Service
from tidings.publisher.batch_traces import BatchTraces
from tidings.publisher.service import compose
from tidings.publisher.settings import PublisherSettings
from tidings.wire.batch import decode
from tidings.wire.change import Change

SECONDS = 10.0
"""How long anything may take."""

eventually = partial(waiting.eventually, seconds=SECONDS)


def batch_traces(every: int = 1) -> BatchTraces:
    """What a batcher wants, in a family of its own."""
    return BatchTraces(Family("batches", ""), Sampler(every, float("inf")))


class Log:
    """A log of one shard, and all changes that were appended to it: those not forgotten yet, and `everything`.

    `resets`: how often everybody was told to look.
    """

    def __init__(self) -> None:
        self.log = UnreliableLog(1)
        self.changes: list[Change] = []
        self.everything: list[tuple[str, str]] = []
        self.resets = 0
        self._grown = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.log.open()
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        await self.log.close()

    async def _read(self) -> None:
        async for entry in self.log.read(0, FromOffset(0)):
            batch = decode(entry.payload)
            changes = batch.changes
            self.resets += batch.is_reset
            self.changes += changes
            self.everything += ((change.account, change.event) for change in changes)
            self._grown.set()

    def told(self) -> list[tuple[str, str]]:
        return [(change.account, change.event) for change in self.changes]

    async def until(self, *expected: tuple[str, str]) -> None:
        """Wait until these have been told since the last time; then forget everything told."""
        async with within(SECONDS):
            while not set(expected) <= set(self.told()):
                self._grown.clear()
                await self._grown.wait()
        self.changes.clear()


class Running:
    """Services that are started, and their runtime."""

    def __init__(self, services: Sequence[Service], runtime: Runtime) -> None:
        self.services = services
        self.runtime = runtime
        self._stack = AsyncExitStack()

    async def start(self) -> Self:
        for service in self.services:
            await service.start()
            self._stack.push_async_callback(service.stop)
        return self

    async def stop(self) -> None:
        await self._stack.aclose()

    @property
    def port(self) -> int:
        return next(service.port for service in self.services if isinstance(service, UvicornService))

    def value(self, name: str, **labels: str) -> float | None:
        return self.runtime.registry.get_sample_value(name, labels)

    @classmethod
    def composed(cls, log: MemoryLog, **members: object) -> Running:
        """A whole publisher, on any free port."""
        runtime = new_runtime()
        settings = PublisherSettings.model_validate({"ingest_port": 0, **members})
        return cls(compose(settings, log, runtime), runtime)


Start = Callable[..., Awaitable[Running]]
"""Starts a publisher with settings."""
