"""A pace: so many a second and no more, evenly. Pure."""

from __future__ import annotations

from math import inf
from typing import Final

_ROUNDING: Final = 1e-6


class Pace:
    """At most `rate` a second, 0 is no bound; and `at_once` of them, 1 or more, after a pause that was long enough."""

    def __init__(self, rate: float, at_once: float) -> None:
        self._rate = rate
        self._kept = (at_once - 1) / rate if rate else 0.0
        """Of a time in which nobody went, so many seconds are left for those who come."""
        self._next = -inf

    def take(self, now: float, wanted: int) -> int:
        """How many of those that want to may go now, in seconds of any clock that does not go back."""
        if not self._rate:
            return wanted
        self._next = max(self._next, now - self._kept)
        count = min(wanted, max(0, int((now - self._next) * self._rate + 1 + _ROUNDING)))
        self._next += count / self._rate
        return count

    def due(self, now: float) -> float:
        """In how many seconds the next may go."""
        return max(0.0, self._next - now)
