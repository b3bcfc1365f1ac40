"""Blocking work beside the loop: one bounded pool of threads per process, whose overflow is an answer, not a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry

from tidings.errors import Overloaded
from tidings.ops.metrics import HotMetrics, added

THREADS: Final = 8
QUEUED: Final = 64

T = TypeVar("T")


class WorkerPool:
    """Runs functions in threads, at most `threads` at once; `queued` more may wait.

    `begin_wait` is called where a function has to wait for a thread, and what it returns when it has one.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        threads: int = THREADS,
        queued: int = QUEUED,
        begin_wait: Callable[[], Callable[[], None]] | None = None,
    ) -> None:
        self._begin_wait = begin_wait
        self._executor = ThreadPoolExecutor(threads, "worker")
        self._threads = threads
        self._room = threads + queued
        self._taken = 0
        self._rejected = 0
        metrics = HotMetrics(registry)
        metrics.gauge(
            "tidings_pool_running",
            "Blocking calls that run in the thread pool",
            lambda: min(self._taken, self._threads),
            merged=added,
        )
        metrics.gauge(
            "tidings_pool_queued",
            "Blocking calls that wait for a thread",
            lambda: max(0, self._taken - self._threads),
            merged=added,
        )
        metrics.counter(
            "tidings_pool_rejections", "Blocking calls refused because the pool was full", lambda: self._rejected
        )

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns. Raises what it raises, or Overloaded when the queue is full."""
        if self._taken >= self._room:
            self._rejected += 1
            raise Overloaded("too many requests at once: try again")
        if self._begin_wait is not None and self._taken >= self._threads:
            function = _after(self._begin_wait(), function)
        loop = asyncio.get_running_loop()
        self._taken += 1
        future = self._executor.submit(function)

        # A caller that gives up leaves its call running: only its end makes room.
        def ended(_: Future[T]) -> None:
            loop.call_soon_threadsafe(self._release)

        future.add_done_callback(ended)
        return await asyncio.wrap_future(future, loop=loop)

    def _release(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Let running calls end, drop those that wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _after(first: Callable[[], None], function: Callable[[], T]) -> Callable[[], T]:
    def both() -> T:
        first()
        return function()

    return both
