"""The main loop as the pages of the admin listener ask it, from that listener's thread, under a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from tidings.ops.health import Health

LOOK_SECONDS: Final = 0.8
"""How long a look at what belongs to the main loop may take."""

T = TypeVar("T")


class MainLoop:
    """Runs coroutines on the main loop, from `attach` on."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """The running loop is the main loop."""
        self._loop = asyncio.get_running_loop()

    async def run(self, doing: Coroutine[Any, Any, T], seconds: float) -> T:
        """Have the main loop do something. Raises TimeoutError when it does not, in time or at all."""
        loop = self._loop
        if loop is None or loop.is_closed():
            doing.close()
            raise TimeoutError
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, loop))

    def silence(self) -> str:
        """What to say when it did not answer."""
        return f"the main loop does not answer; it last ran {self._health.beat_age():.1f} s ago"
