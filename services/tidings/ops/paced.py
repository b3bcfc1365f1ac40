"""Which of many log lines of one kind are written: the first, then one a minute, with a count. Pure.

The caller gives the time, in seconds of a clock that never goes back (time.monotonic), and writes the line itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

EVERY_SECONDS: Final = 60.0
"""How often a trouble that lasts, or a fault that comes again, is told."""
AGAIN_SECONDS: Final = 10.0
"""How soon after a trouble was told the next one may be."""
MAX_KINDS: Final = 256

Kind = TypeVar("Kind", bound=Hashable)


class Paced(Generic[Kind]):
    """Events that come again: of each kind one line in `seconds`, at most `kinds` kinds remembered."""

    def __init__(self, seconds: float = EVERY_SECONDS, kinds: int = MAX_KINDS) -> None:
        self._seconds = seconds
        self._max_kinds = kinds
        self._told: dict[Kind, tuple[float, int]] = {}
        """Of each kind: when it was told last, and how often it has happened since. The least lately told is first."""

    def happened(self, kind: Kind, now: float) -> int:
        """How many events of this kind to tell of now, this one included; 0: none yet."""
        told, since = self._told.get(kind, (-self._seconds, 0))
        if kind in self._told and now - told < self._seconds:
            self._told[kind] = (told, since + 1)
            return 0
        self._told.pop(kind, None)
        if len(self._told) >= self._max_kinds:
            del self._told[next(iter(self._told))]
        self._told[kind] = (now, 0)
        return since + 1

    def overdue(self, now: float) -> list[tuple[Kind, int]]:
        """The kinds, and how many events of each, that nobody told of within the time; they count as told now."""
        found = [(kind, since) for kind, (told, since) in self._told.items() if since and now - told >= self._seconds]
        for kind, _ in found:
            del self._told[kind]
            self._told[kind] = (now, 0)
        return found


@dataclass(frozen=True, slots=True)
class Told:
    """A line to write about a trouble. `seconds`: how long it has lasted; `count`: the events since the last line."""

    first: bool
    seconds: float
    count: int


class Trouble:
    """Something that goes wrong for a while: a line when it begins, one every minute while it lasts, one when it ends.

    `every` and `again` are in seconds. A trouble that comes and goes is told at most once in `again`. The end of one is
    told where its beginning was.
    """

    def __init__(self, every: float = EVERY_SECONDS, again: float = AGAIN_SECONDS) -> None:
        self._every = every
        self._again = again
        self._began: float | None = None
        self._told: float | None = None
        """When the last line was written about this trouble, or one before it."""
        self._announced = False
        self._count = 0

    def happened(self, now: float) -> Told | None:
        """It goes wrong, or still does: the line to write now, if any."""
        if self._began is None:
            self._began, self._count = now, 0
        self._count += 1
        pause = self._every if self._announced else self._again
        if self._told is not None and now - self._told < pause:
            return None
        told = Told(not self._announced, now - self._began, self._count)
        self._told, self._announced, self._count = now, True, 0
        return told

    def over(self, now: float) -> Told | None:
        """It is well, again or as before: the line to write now, if any."""
        if self._began is None:
            return None
        told = Told(first=False, seconds=now - self._began, count=self._count)
        announced, self._announced, self._began = self._announced, False, None
        return told if announced else None
