"""When to tell of something that is away for a while: as that begins, once a minute while it lasts, as it ends. Pure.

One outage is one, however many notice it (connections, shards, requests) and however often. What goes and comes all
the time is told about at a pace: after a few outages within a minute, the next one is told once it has lasted for a
while, and only an outage that was told has an end to tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import Final, NamedTuple

EVERY_SECONDS: Final = 60.0
BURST: Final = 3
"""Outages within EVERY_SECONDS that are told as they begin."""
SHORT_SECONDS: Final = 5.0
"""What is over sooner, after so many others, is not told."""


class Stage(Enum):
    """What there is to tell."""

    BEGUN = "begun"
    LASTS = "lasts"
    OVER = "over"


class Told(NamedTuple):
    """One thing to tell: it has lasted for `seconds`, and was noticed `failures` times."""

    stage: Stage
    seconds: float
    failures: int


class Outage:
    """Times are seconds on a monotonic clock. `who` notices the failure, and has to notice its end."""

    def __init__(self) -> None:
        self._failing: dict[Hashable, float] = {}
        self._begun = 0.0
        self._failures = 0
        self._begins: deque[float] = deque(maxlen=BURST)
        self._told = 0.0
        self._said = False

    @property
    def lasts(self) -> bool:
        """Whether anybody's failure is not over."""
        return bool(self._failing)

    def failed(self, now: float, who: Hashable = None) -> Told | None:
        """It failed, or failed again. What to tell, if anything."""
        if not self._failing:
            self._begun, self._failures, self._said = now, 0, False
        self._failing[who] = now
        self._failures += 1
        if self._said:
            return self._tell(Stage.LASTS, now) if now - self._told >= EVERY_SECONDS else None
        many = len(self._begins) == BURST and now - self._begins[0] < EVERY_SECONDS
        if many and now - self._begun < SHORT_SECONDS:
            return None
        self._said = True
        self._begins.append(now)
        return self._tell(Stage.BEGUN, now)

    def mended(self, now: float, who: Hashable = None) -> Told | None:
        """It works, as far as `who` can tell. Who has not failed for a minute is not waited for."""
        if not self._failing:
            return None
        self._failing.pop(who, None)
        self._failing = {each: last for each, last in self._failing.items() if now - last < EVERY_SECONDS}
        return self._tell(Stage.OVER, now) if self._said and not self._failing else None

    def _tell(self, stage: Stage, now: float) -> Told:
        self._told = now
        return Told(stage, round(now - self._begun, 1), self._failures)
