"""A pace: so many a second and no more, evenly. Pure."""

from __future__ import annotations

from typing import Final

_ROUNDING: Final = 1e-6
BURST_SECONDS: Final = 0.1
"""How much of what was not used is left: after a pause, as many as come in this time may go at once."""


class Pace:
    """At most `rate` a second; 0 is no bound."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = 0.0

    def take(self, now: float, wanted: int) -> int:
        """How many of those that want to may go now, in seconds of any clock that does not go back."""
        if not self._rate:
            return wanted
        self._next = max(self._next, now - BURST_SECONDS)
        count = min(wanted, max(0, int((now - self._next) * self._rate + 1 + _ROUNDING)))
        self._next += count / self._rate
        return count

    def due(self, now: float) -> float:
        """In how many seconds the next may go."""
        return max(0.0, self._next - now)
