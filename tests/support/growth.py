"""How the time that something takes grows with its input."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence

LEAST_SECONDS = 0.004
"""What is measured takes so long at the least, or is done again and again."""
RUNS = 25
ENOUGH = 2.4


def cpu_seconds(attempts: Iterable[Callable[[], object]]) -> float:
    """The CPU time of this thread that the quickest of some equal attempts takes, the collector aside."""
    best = float("inf")
    gc.disable()
    try:
        for attempt in attempts:
            begun = time.thread_time()
            attempt()
            best = min(best, time.thread_time() - begun)
    finally:
        gc.enable()
    return best


def growth(run: Callable[[int], Callable[[], object]], size: int) -> float:
    """By how much twice the input is dearer; 2 is linear. `run(size)` makes the input, and gives what works on it.

    The cheapest of several runs counts, since others use the same caches. There are no more of them than it takes to
    see that the growth is small.
    """
    cheap, dear = cheapest([run(size), run(2 * size)], lambda cheap, dear: dear < ENOUGH * cheap)
    return dear / cheap


def cheapest(works: Sequence[Callable[[], object]], enough: Callable[..., bool]) -> list[float]:
    """The CPU time of each work, the cheapest of several runs in turn; no more of them than it takes to be `enough`.

    All are repeated as often as the first one needs to be measurable.
    """
    times = max(1, round(LEAST_SECONDS / max(cpu_seconds([works[0]]), 1e-6)))
    found = [float("inf")] * len(works)
    for _ in range(RUNS):
        for number, work in enumerate(works):
            found[number] = min(found[number], cpu_seconds([_repeated(work, times)]))
        if enough(*found):
            break
    return found


def _repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            work()

    return run
