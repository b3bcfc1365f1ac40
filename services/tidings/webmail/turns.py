"""Who is next in the pool: no account takes so many threads that another waits for its mail."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from tidings.errors import Overloaded
from tidings.ops.pool import WorkerPool

AT_ONCE: Final = 2
"""How many calls of one account run in the pool, or wait for a thread of it."""
WAITING: Final = 30
"""How many more of them wait here."""
AGAIN_SECONDS: Final = 0.5

T = TypeVar("T")


class Turns:
    """Runs functions in a pool, a few at once for each account; the others wait for those of their own account."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, account: str, function: Callable[[], T]) -> T:
        """What the function returns. Raises what it raises, or Overloaded."""
        await self._begin(account)
        try:
            return await self._pool.run(function)
        finally:
            self._end(account)

    async def patiently(self, account: str, function: Callable[[], T]) -> T:
        """As `run`, but waits where that would raise Overloaded: for an answer that has begun already."""
        while True:
            try:
                return await self.run(account, function)
            except Overloaded:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _begin(self, account: str) -> None:
        if self._running.get(account, 0) < AT_ONCE:
            self._running[account] = self._running.get(account, 0) + 1
            return
        waiting = self._waiting.setdefault(account, deque())
        if len(waiting) >= WAITING:
            raise Overloaded("too many requests at once for this account: try again")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It was this one's turn, and is another's now.
                self._end(account)
            raise

    def _end(self, account: str) -> None:
        """Hand the turn on, or give it back."""
        waiting = self._waiting.get(account, deque())
        while waiting:
            turn = waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._waiting.pop(account, None)
        self._running[account] -= 1
        if not self._running[account]:
            del self._running[account]
