"""When a shard's next batch begins: at once, or a little later where more changes will be in it by then. Pure.

An entry of the log costs its writer, the broker and every reader of the shard much more than a change in it does.
"""

from __future__ import annotations

from typing import Final

MAX_SECONDS: Final = 0.005
"""The longest that a change waits for others."""
FILL: Final = 8
"""Changes in an entry from which on more of them save little."""
WINDOW_SECONDS: Final = 0.1
"""How far back the rate of a shard is looked at."""


def interval(rate: float) -> float:
    """The least time in seconds between the beginnings of two batches of a shard that gets `rate` changes a second.

    None at light load: a change that waited would only be late, as no other is expected in time.
    """
    if rate * MAX_SECONDS < 1:
        return 0.0
    return min(MAX_SECONDS, FILL / rate)


class Pace:
    """The pace of one shard. Times are seconds on a monotonic clock, and never go back."""

    __slots__ = ("_begun", "_count", "_rate", "_since")

    def __init__(self) -> None:
        self._begun = float("-inf")
        self._since = float("-inf")
        self._count = 0
        self._rate = 0.0

    def arrived(self, now: float) -> None:
        """A change has come."""
        self._look(now)
        self._count += 1

    def wait(self, now: float) -> float:
        """How long the next batch has to wait: never, where the one before is long gone."""
        self._look(now)
        return max(0.0, self._begun + interval(self._rate) - now)

    def begun(self, now: float) -> None:
        """A batch is on its way."""
        self._begun = now

    def _look(self, now: float) -> None:
        seconds = now - self._since
        if seconds < WINDOW_SECONDS:
            return
        # After a pause nobody knows how it goes on: as at light load.
        self._rate = self._count / seconds if seconds < 2 * WINDOW_SECONDS else 0.0
        self._since = now
        self._count = 0
