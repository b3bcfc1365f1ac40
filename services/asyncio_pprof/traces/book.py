"""Traces by family: those under way, the latest by how long they took, those refused, and those that failed. Pure.

Written by one thread and read by others, which may see a trace without what is just being added to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

BOUNDS: Final = (0.0, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0)
"""Seconds from which on a trace is in each bucket."""
KEPT: Final = 10
"""The latest of each bucket, of those refused, and of those that failed."""
MOST_ACTIVE: Final = 256
MOST_EVENTS: Final = 24


class Trace:
    """What happened to one: stages with seconds since it began. Only words of the program's own belong in it."""

    __slots__ = ("began", "error", "events", "latency", "title")

    def __init__(self, title: str, began: float) -> None:
        self.title = title
        self.began = began
        self.events: list[tuple[float, str]] = []
        self.latency: float | None = None
        self.error = False

    def mark(self, now: float, stage: str) -> None:
        """A stage was reached at `now`; beyond so many, no more are kept."""
        if len(self.events) < MOST_EVENTS:
            self.events.append((now - self.began, stage))


class Family:
    """Traces of one kind. Times are monotonic seconds."""

    def __init__(self, name: str, what: str) -> None:
        self.name = name
        self.what = what
        self._active: dict[Trace, None] = {}
        self._done: tuple[deque[Trace], ...] = tuple(deque(maxlen=KEPT) for _ in BOUNDS)
        self._rejected: deque[Trace] = deque(maxlen=KEPT)
        self._failed: deque[Trace] = deque(maxlen=KEPT)
        self._counts = [0] * len(BOUNDS)
        self._rejections = 0
        self._errors = 0

    def begin(self, title: str, now: float) -> Trace:
        """Follow one more."""
        trace = Trace(title, now)
        self.follow(trace)
        return trace

    def follow(self, trace: Trace) -> None:
        """The same, of one that has begun already."""
        self._active[trace] = None

    @property
    def is_full(self) -> bool:
        """Whether as many are under way as may be: before the next one begins, another has to end."""
        return len(self._active) >= MOST_ACTIVE

    def settle(self, trace: Trace, now: float) -> None:
        """It has come to where its latency is counted to; it may go on."""
        if trace.latency is None:
            trace.latency = max(0.0, now - trace.began)
            bucket = bisect_right(BOUNDS, trace.latency) - 1
            self._done[bucket].append(trace)
            self._counts[bucket] += 1

    def fail(self, trace: Trace, now: float, stage: str) -> None:
        """It ended with an error."""
        self._end_badly(trace, now, stage, self._failed)
        self._errors += 1

    def reject(self, trace: Trace, now: float, stage: str) -> None:
        """It was refused, for which whoever asked is answerable: however many come, no error makes room for them."""
        self._end_badly(trace, now, stage, self._rejected)
        self._rejections += 1

    def _end_badly(self, trace: Trace, now: float, stage: str, kept: deque[Trace]) -> None:
        trace.mark(now, stage)
        trace.error = True
        kept.append(trace)
        self._active.pop(trace, None)

    def end(self, trace: Trace) -> None:
        """Nothing more will happen to it."""
        self._active.pop(trace, None)

    def active(self) -> Sequence[Trace]:
        """Those under way, the oldest first."""
        return tuple(self._active)

    def done(self, bucket: int) -> Sequence[Trace]:
        """The latest of a latency bucket, the newest first. Raises IndexError for one that there is not."""
        return tuple(self._done[bucket])[::-1]

    def failed(self) -> Sequence[Trace]:
        """The latest that failed, the newest first."""
        return tuple(self._failed)[::-1]

    def rejected(self) -> Sequence[Trace]:
        """The latest that were refused, the newest first."""
        return tuple(self._rejected)[::-1]

    def counts(self) -> tuple[int, Sequence[int], int, int]:
        """How many are under way, were counted in each bucket, were refused, and failed."""
        return len(self._active), tuple(self._counts), self._rejections, self._errors


class Book:
    """The families of a process, in the order in which they were opened."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def family(self, name: str, what: str) -> Family:
        """Open a family, or find the one of this name."""
        return self._families.setdefault(name, Family(name, what))

    def families(self) -> Sequence[Family]:
        """All of them."""
        return tuple(self._families.values())

    def get(self, name: str) -> Family | None:
        """The family of this name."""
        return self._families.get(name)
