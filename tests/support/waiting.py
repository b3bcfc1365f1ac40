"""Waiting for conditions, each with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Return once the condition holds; fail when it does not within the time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def comes_true(condition: Callable[[], object], seconds: float) -> bool:
    """Wait, where no loop runs, until the condition holds; whether it does within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
