"""Goodbyes at a pace: how many parked clients to send elsewhere by now. Pure."""

from __future__ import annotations

from typing import Final

STEP_SECONDS: Final = 0.05
"""How often to ask Goodbyes."""
MIN_PER_SECOND: Final = 50
"""So few no survivor notices: a handful of clients is no reason to take long."""
CATCH_UP_SECONDS: Final = 0.5
"""What of a stalled loop's time is made up for at once."""


class Goodbyes:
    """Spreads `count` goodbyes evenly over `seconds`, or over less where that is slower than MIN_PER_SECOND.

    What a loop that stalled for longer than CATCH_UP_SECONDS did not get to is spread over the rest of the time. At the
    end of the time all that are left are due: whoever waits for this process waits no longer.
    """

    def __init__(self, count: int, seconds: float, now: float) -> None:
        self.seconds = min(seconds, count / MIN_PER_SECOND)
        self._left = count
        self._owed = 0.0
        self._asked = now
        self._end = now + self.seconds

    def due(self, now: float) -> int:
        """How many more to send away by `now`."""
        if now >= self._end:
            count = self._left
        else:
            rate = (self._left - self._owed) / (self._end - self._asked)
            self._owed += rate * min(now - self._asked, CATCH_UP_SECONDS)
            count = int(self._owed)
        self._owed -= count
        self._left -= count
        self._asked = now
        return count
