"""What a listener refuses, by reason: counted, and told in the log at a pace that nobody outside can raise."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import structlog

PACE_SECONDS: Final = 10.0
"""At most one line for a reason in this time. It has the count of those since the line before."""

_log = structlog.get_logger()


class Refusals:
    """The refusals of one listener. `counts` is by reason, since the start.

    Reasons are words of the program's own, of which there are few: nothing of a request gets into the log.
    """

    def __init__(self, listener: str) -> None:
        self.name = f"refusals of {listener}"
        self.counts: Counter[str] = Counter()
        self._listener = listener
        self._untold: dict[str, int] = {}

    async def start(self) -> None:
        """Nothing is done before the first refusal."""

    async def stop(self) -> None:
        """Tell what has not been told yet."""
        for reason, number in self._untold.items():
            if number:
                self._tell(reason, number)
        self._untold.clear()

    def refused(self, reason: str) -> None:
        """Count a refusal. The first is told at once, those behind it together."""
        self.counts[reason] += 1
        if reason in self._untold:
            self._untold[reason] += 1
        else:
            self._tell(reason, 1)
            self._pace(reason)

    def _pace(self, reason: str) -> None:
        self._untold[reason] = 0
        asyncio.get_running_loop().call_later(PACE_SECONDS, self._go_on, reason)

    def _go_on(self, reason: str) -> None:
        number = self._untold.pop(reason, 0)
        if number:
            self._tell(reason, number)
            self._pace(reason)

    def _tell(self, reason: str, number: int) -> None:
        _log.info("requests refused", listener=self._listener, reason=reason, count=number)
