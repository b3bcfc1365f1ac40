"""Time that passes only where somebody waits for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

_EPOCH = 1_700_000_000.0


class _Selector(selectors.DefaultSelector):
    """Where the loop would wait, its clock goes on instead."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if found := super().select(0):
            return found
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        # Never nothing at all, or whoever wakes up a rounding error early would wait for that for ever.
        self.now += max(1e-6, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of which an hour takes no time."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def monotonic(self) -> float:
        """As the module `time` has it."""
        return self._clock.now

    def unix(self) -> float:
        """The same clock as seconds since 1970."""
        return _EPOCH + self._clock.now


class _Time:
    def __init__(self, loop: VirtualLoop) -> None:
        self.monotonic = loop.monotonic
        self.time = loop.unix
        self.thread_time = loop.monotonic


@contextmanager
def virtual_time(*modules: ModuleType) -> Iterator[VirtualLoop]:
    """A loop in virtual time; for these modules `time` is its clock, too."""
    loop = VirtualLoop()
    patches = [patch.object(module, "time", _Time(loop)) for module in modules]
    for one in patches:
        one.start()
    try:
        yield loop
    finally:
        for one in patches:
            one.stop()
        loop.close()
