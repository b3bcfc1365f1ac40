"""Waiting for conditions, each with a deadline that is longer the busier the machine is."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

GENEROUS = 4.0
CPUS = len(os.sched_getaffinity(0))
LOAD = os.open("/proc/loadavg", os.O_RDONLY)
"""Open from the start: some tests leave no file to open."""


def busyness() -> float:
    """How many want each CPU: on average over the last minute, or at this moment if that is more. At the least 1."""
    average, _, _, tasks, _ = os.pread(LOAD, 100, 0).decode().split()
    return max(1.0, float(average) / CPUS, int(tasks.partition("/")[0]) / CPUS)


def patient(seconds: float) -> float:
    """How long to wait for what takes at most so many seconds on a machine that does nothing else."""
    return GENEROUS * seconds * busyness()


def promised(seconds: float) -> float:
    """How long something may take that is said to take so many seconds: no longer, on a machine that is not busy."""
    return seconds * (2 * busyness() - 1)


def within(seconds: float) -> asyncio.Timeout:
    """Fail when what is inside takes longer; `seconds` as for `patient`."""
    return asyncio.timeout(patient(seconds))


async def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Return once the condition holds; fail when it does not, `seconds` as for `patient`."""
    async with within(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def comes_true(condition: Callable[[], object], seconds: float) -> bool:
    """Wait, where no loop runs, until the condition holds; whether it does, `seconds` as for `patient`."""
    deadline = time.monotonic() + patient(seconds)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
