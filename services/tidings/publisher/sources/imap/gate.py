"""Who may log in now: so many at once, and so many a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tidings.publisher.sources.imap.pacing import Slots

AT_ONCE: Final = 20


class Gate:
    """Shared by all accounts of a server."""

    def __init__(self, per_second: float) -> None:
        self._slots = Slots(per_second)
        self._room = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; it lasts until the end of the block."""
        async with self._room:
            await asyncio.sleep(self._slots.take(time.monotonic()))
            yield
