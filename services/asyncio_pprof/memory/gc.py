"""Python's cyclic collector: what it tracks and how long it stopped the process; freezing; giving memory back."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from typing import Final, NamedTuple

from asyncio_pprof.memory import allocators

SLICE: Final = 20_000
"""Objects counted between two chances for other threads."""
LIST_SECONDS: Final = 40e-9
"""What listing one tracked object takes, with the GIL held (measured with 2 million, most of them not in a cache)."""


class Pause(NamedTuple):
    """Seconds that a step took: `collect` holds the GIL, so that nothing else runs; `trim` does not."""

    collect: float
    trim: float


def give_back() -> Pause:
    """Collect, then have the C library give back what is free. Blocks."""
    began = time.perf_counter()
    gc.collect()
    collected = time.perf_counter()
    allocators.trim()
    return Pause(collected - began, time.perf_counter() - collected)


def freeze() -> float:
    """Collect, then never walk again what is left, until `unfreeze`; seconds taken. Frozen cycles stay for good."""
    began = time.perf_counter()
    gc.collect()
    gc.freeze()
    return time.perf_counter() - began


def unfreeze() -> float:
    """Have the next full collection walk everything; seconds taken."""
    began = time.perf_counter()
    gc.unfreeze()
    return time.perf_counter() - began


def listing_seconds(blocks: int) -> float:
    """At most how long listing what is tracked would hold the GIL: not more than there are allocated blocks."""
    return blocks * LIST_SECONDS


def tracked() -> dict[str, int]:
    """Objects by generation, and those frozen. Holds the GIL while it lists each."""
    counts = {str(generation): len(gc.get_objects(generation)) for generation in range(3)}
    return {**counts, "frozen": gc.get_freeze_count()}


def types() -> Counter[str]:
    """Tracked objects by type. Lists them with the GIL held, then counts in slices; they stay alive meanwhile."""
    objects = gc.get_objects()
    counts: Counter[type] = Counter()
    for start in range(0, len(objects), SLICE):
        counts.update(map(type, objects[start : start + SLICE]))
        time.sleep(0)
    del objects
    named: Counter[str] = Counter()
    for kind, count in counts.items():
        named[f"{kind.__module__}.{kind.__qualname__}"] += count
    return named


def state() -> dict[str, object]:
    """How the collector is set, and what it has done; reading it costs nothing."""
    done = gc.get_stats()
    return {
        "enabled": gc.isenabled(),
        "threshold": list(gc.get_threshold()),
        "collections": [generation["collections"] for generation in done],
        "collected": [generation["collected"] for generation in done],
        "uncollectable": [generation["uncollectable"] for generation in done],
        "allocated_blocks": sys.getallocatedblocks(),
    }
