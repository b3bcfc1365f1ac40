"""How busy the main loop is: its thread's CPU time, read by whoever asks, and how late its timers are."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final

from prometheus_client import CollectorRegistry

from tidings.ops.metrics import HotMetrics, PlainHistogram

TICK_SECONDS: Final = 0.25
LATE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopWatch:
    """Costs the loop four timers a second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._late = PlainHistogram(LATE_SECONDS)
        metrics = HotMetrics(registry)
        metrics.counter("tidings_loop_cpu_seconds", "CPU time of the main loop's thread", main_thread_seconds)
        metrics.histogram("tidings_loop_late_seconds", "How late timers of the main loop run", self._late)

    async def run(self) -> None:
        """Watch the running loop, until cancelled."""
        while True:
            due = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._late.observe(max(0.0, time.monotonic() - due))


def main_thread_seconds() -> float:
    """CPU time of the main thread, in which the main loop runs; from any thread."""
    # The main thread is there for as long as anybody can ask.
    return time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident or 0))
