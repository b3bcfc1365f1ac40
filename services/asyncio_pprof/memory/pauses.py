"""How long Python's cyclic collector stopped the process."""

from __future__ import annotations

import gc
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import Final

BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
"""Seconds up to which a pause is in each bucket."""


class Pauses:
    """Pauses by generation and length, while they are watched."""

    def __init__(self) -> None:
        self._began = 0.0
        self._counts = [[0] * (len(BOUNDS) + 1) for _ in range(3)]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count those inside of this."""
        gc.callbacks.append(self._collects)
        try:
            yield
        finally:
            gc.callbacks.remove(self._collects)

    def _collects(self, phase: str, info: Mapping[str, int]) -> None:
        """Called by the collector itself, in the thread that it stops."""
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._counts[info["generation"]][bisect_left(BOUNDS, time.perf_counter() - self._began)] += 1

    def buckets(self) -> dict[str, list[tuple[str, float]]]:
        """Cumulative counts by upper bound in seconds, by generation."""
        names = [*map(str, BOUNDS), "+Inf"]
        return {
            str(generation): list(zip(names, map(float, accumulate(counts)), strict=True))
            for generation, counts in enumerate(self._counts)
        }
