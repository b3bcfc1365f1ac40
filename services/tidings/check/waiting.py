"""Waiting, but not for ever."""

from __future__ import annotations

import asyncio


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Return once the event is set, or after so many seconds; whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
