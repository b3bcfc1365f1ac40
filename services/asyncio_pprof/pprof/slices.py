"""Work in slices: a thread that computes for long starves the event loop's thread of the GIL.

Each system call of the loop lets go of the GIL, and a thread that computes then keeps it for 5 ms at a time. Resting as
long as one works leaves the loop half of the time at worst.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

SLICE_SECONDS: Final = 0.001

T = TypeVar("T")


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with rests in between."""
    began = time.perf_counter()
    for item in items:
        yield item
        worked = time.perf_counter() - began
        if worked >= SLICE_SECONDS:
            await asyncio.sleep(worked)
            began = time.perf_counter()
