"""Time by thread and stack, for the profiles that are taken sample by sample."""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType

from asyncio_pprof.pprof.profile import Labels, Stack, synthetic
from asyncio_pprof.pprof.stacks import Found, Symbols

NATIVE = synthetic("[threads without Python]")


class Sums:
    """Counts and nanoseconds of one profile."""

    def __init__(self) -> None:
        self._symbols = Symbols()
        self._sums: dict[tuple[Found, str], list[int]] = {}

    def add(self, frames: Iterable[FrameType], thread: str, nanoseconds: int) -> None:
        """Count a sample of a thread; without frames, of threads that Python does not know."""
        sums = self._sums.setdefault((self._symbols.walk(frames), thread), [0, 0])
        sums[0] += 1
        sums[1] += nanoseconds

    def samples(self) -> dict[tuple[Stack, Labels], tuple[int, ...]]:
        """Everything that was added. What was found at several places of one line is one sample."""
        named: dict[tuple[Stack, Labels], tuple[int, ...]] = {}
        # A copy is made at once; a last signal may still add to what is looked at in another thread.
        for (found, thread), (count, nanoseconds) in self._sums.copy().items():
            key = (self._symbols.name(found) or (NATIVE,), (("thread", thread),) if thread else ())
            before = named.get(key, (0, 0))
            named[key] = (before[0] + count, before[1] + nanoseconds)
        return named
