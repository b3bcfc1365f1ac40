"""When Python's cyclic collector may stop the process, and for how long it did.

A full collection walks every tracked object while the loop stands still, and thresholds start one when it suits
nobody. So what is there once the services run is frozen, full collections by threshold are off, and one is made on
schedule: when the process is quiet, or when the last one was too long ago. Young collections stay as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from tidings.ops.metrics import HotMetrics, PlainHistogram

NEVER: Final = 2**31 - 1
LOOK_SECONDS: Final = 30.0
SOON_SECONDS: Final = 600.0
LATE_SECONDS: Final = 3_600.0
QUIET: Final = 0.25
"""The share of one core below which a pause is nobody's loss."""
PAUSE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


def is_due(since: float, busy: float) -> bool:
    """Whether to collect, `since` seconds after the last time, while the process uses `busy` cores."""
    return since >= LATE_SECONDS or (since >= SOON_SECONDS and busy < QUIET)


class Pauses:
    """How long collections took, by generation; called by the collector itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._began = 0.0
        self._by_generation = [PlainHistogram(PAUSE_SECONDS) for _ in range(3)]
        HotMetrics(registry).labelled_histogram(
            "tidings_gc_pause_seconds",
            "How long the garbage collector stopped the process",
            "generation",
            {str(generation): plain for generation, plain in enumerate(self._by_generation)},
        )

    def buckets(self) -> dict[str, Sequence[tuple[str, float]]]:
        """Cumulative counts by upper bound in seconds, by generation."""
        return {str(generation): plain.buckets() for generation, plain in enumerate(self._by_generation)}

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """See `gc.callbacks`."""
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._by_generation[info["generation"]].observe(time.perf_counter() - self._began)


@contextlib.asynccontextmanager
async def collecting_on_schedule(pauses: Pauses) -> AsyncIterator[None]:
    """Keep to the schedule inside of this; what is there at its beginning is never walked again."""
    thresholds = gc.get_threshold()
    gc.callbacks.append(pauses)
    gc.collect()
    gc.freeze()
    gc.set_threshold(thresholds[0], thresholds[1], NEVER)
    schedule = asyncio.create_task(_collect_when_due(), name="gc schedule")
    try:
        yield
    finally:
        schedule.cancel()
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        gc.callbacks.remove(pauses)


async def _collect_when_due() -> None:
    collected = looked = time.monotonic()
    used = time.process_time()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now, using = time.monotonic(), time.process_time()
        busy = (using - used) / (now - looked)
        looked, used = now, using
        if is_due(now - collected, busy):
            gc.collect()
            collected = now
