"""What has been counted since the process started, by stack: bounded, and from any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import FrameType
from typing import Final

from asyncio_pprof.pprof.profile import Stack, synthetic
from asyncio_pprof.pprof.stacks import Symbols

MAX_STACKS: Final = 2_000
MAX_PLACES: Final = 10_000
"""Places in code whose names are remembered. One takes about 300 bytes."""
OTHER: Final[Stack] = (synthetic("[other stacks]"),)


class Tally:
    """Sums by stack. Of more stacks than there is room for, the later ones are counted together."""

    def __init__(self) -> None:
        self._sums: dict[Stack, tuple[int, ...]] = {}
        self._lock = threading.Lock()
        self._symbols = Symbols()

    def stack(self, frames: Iterable[FrameType]) -> Stack:
        """The stack of these frames, with names. A place that was named before is cheap to name again."""
        symbols = self._symbols
        if symbols.places > MAX_PLACES:
            self._symbols = symbols = Symbols()
        return symbols.stack(frames)

    def add(self, stack: Stack, *values: int) -> None:
        """Add to the sums of a stack."""
        with self._lock:
            if stack not in self._sums and len(self._sums) >= MAX_STACKS:
                stack = OTHER
            before = self._sums.get(stack)
            self._sums[stack] = values if before is None else tuple(a + b for a, b in zip(before, values, strict=True))

    def sums(self) -> dict[Stack, tuple[int, ...]]:
        """All of them, now."""
        with self._lock:
            return dict(self._sums)
