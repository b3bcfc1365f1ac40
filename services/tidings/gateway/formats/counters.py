"""What is counted of parked connections."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

FORMATS: Final = ("websocket", "eventsource", "poll")
POLL_SECONDS: Final = 30.0
"""How often a client that is not pushed to would ask, by which the polls avoided are counted."""


def _none_of_each() -> Counter[str]:
    """A format without a number is one that an autoscaler does not know of."""
    return Counter(dict.fromkeys(FORMATS, 0))


@dataclass(slots=True)
class ParkedCounters:
    """Plain numbers, read by the metrics collector."""

    clock: Callable[[], float] = time.monotonic
    open: Counter[str] = field(default_factory=_none_of_each)
    opened: Counter[str] = field(default_factory=_none_of_each)
    closed: Counter[tuple[str, ...]] = field(default_factory=Counter)
    polls: Counter[str] = field(default_factory=Counter)
    messages_in: int = 0
    request_errors: int = 0
    _all: int = 0
    """Open connections of all formats."""
    _since: float = 0.0
    _seconds: float = 0.0

    def count_opened(self, wire_format: str) -> None:
        self._advance()
        self._all += 1
        self.open[wire_format] += 1
        self.opened[wire_format] += 1

    def count_closed(self, wire_format: str, reason: str) -> None:
        self._advance()
        self._all -= 1
        self.open[wire_format] -= 1
        self.closed[wire_format, reason] += 1

    def parked_seconds(self) -> float:
        """For how long connections have been parked, all of them together."""
        return self._seconds + self._all * (self.clock() - self._since)

    def _advance(self) -> None:
        now = self.clock()
        self._seconds += self._all * (now - self._since)
        self._since = now
