"""Who waits for what others hold: locks, semaphores, full queues, and slots of whatever says so.

Measuring takes wrappers around the standard library's primitives, so it is only done when asked for at the start of the
process. Consumers that wait for work are no contention and not counted. Locks that were made before, and those of C
code, are not seen.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import Any, Final

from asyncio_pprof.pprof.stacks import outward
from asyncio_pprof.pprof.tally import Tally

_make_lock: Final = threading.Lock


def _nothing() -> None:
    """Measure nothing."""


class Waits:
    """Waits since the process started: how many, and for how many nanoseconds, by the stack that waited."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.on = False

    def install(self) -> None:
        """Measure locks, semaphores and queues from now on, for the rest of the process."""
        self.on = True
        for primitive, method, waits in (
            (asyncio.Lock, "acquire", asyncio.Lock.locked),
            (asyncio.Semaphore, "acquire", asyncio.Semaphore.locked),
            (asyncio.Queue, "put", asyncio.Queue.full),
        ):
            setattr(primitive, method, self._measured(getattr(primitive, method), waits))
        threading.Lock = functools.partial(TimedLock, self)  # type: ignore[assignment]

    def begin(self) -> Callable[[], None]:
        """A wait begins here; call what this returns when it is over, from any thread."""
        return self.begin_at(sys._getframe(1)) if self.on else _nothing  # noqa: SLF001 - documented

    def begin_at(self, frame: FrameType | None) -> Callable[[], None]:
        """The same, at a frame."""
        stack, began = self.tally.stack(outward(frame)), time.perf_counter_ns()
        return lambda: self.tally.add(stack, 1, time.perf_counter_ns() - began)

    def _measured(
        self, method: Callable[..., Awaitable[object]], waits: Callable[[Any], bool]
    ) -> Callable[..., Awaitable[object]]:
        @functools.wraps(method)
        async def measured(primitive: object, *arguments: object) -> object:
            if not waits(primitive):
                return await method(primitive, *arguments)
            waiting: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented
            if waiting is not None and waiting.f_code.co_filename == asyncio.locks.__file__:
                # `async with` goes through a method of the lock.
                waiting = waiting.f_back
            end = self.begin_at(waiting)
            try:
                return await method(primitive, *arguments)
            finally:
                end()

        return measured


class TimedLock:
    """A `threading.Lock` that says how long it was waited for."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._lock = _make_lock()
        self.locked = self._lock.locked
        self.release = self._lock.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See `threading.Lock`."""
        if self._lock.acquire(blocking=False):
            return True
        if not blocking:
            return False
        return self._wait(timeout)

    def _wait(self, timeout: float) -> bool:
        end = self._waits.begin_at(sys._getframe(2))  # noqa: SLF001 - documented
        try:
            return self._lock.acquire(timeout=timeout)
        finally:
            end()

    def __enter__(self) -> bool:
        return self._lock.acquire(blocking=False) or self._wait(-1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def _at_fork_reinit(self) -> None:
        self._lock = _make_lock()
        self.locked, self.release = self._lock.locked, self._lock.release
