"""Things that are done to an account, one after the other, and what is told of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.support.publisher import Log
from tests.support.waiting import eventually

SECONDS = 30.0


class Steps:
    """Does one thing after the other to an account, and sees what is told of it."""

    def __init__(self, log: Log, account: str) -> None:
        self._log = log
        self._account = account
        self._seen = self._told()

    def _told(self) -> list[str]:
        return [event for account, event in self._log.everything if account == self._account]

    async def step(self, action: Callable[[], object], *expected: str, may: Sequence[str] = ()) -> None:
        """Do it; these events follow, and no others but those that may."""
        await asyncio.to_thread(action)
        new: list[str] = []

        def told() -> bool:
            new[:] = self._told()[len(self._seen) :]
            return set(expected) <= set(new)

        try:
            await eventually(told, SECONDS)
        except TimeoutError:
            raise AssertionError(f"told {new}, and not {expected}") from None
        assert set(new) <= {*expected, *may}, new
        self._seen = self._told()
