"""What a profile is: numbers by stack. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


class Frame(NamedTuple):
    """A line of a function. `start` is the function's first line; 0: there is no such line."""

    function: str
    file: str
    start: int
    line: int


Stack = tuple[Frame, ...]
"""The innermost frame first."""
Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[Stack, Labels], tuple[int, ...]]


class ValueType(NamedTuple):
    """What a number counts, and in which unit."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A profile's name, what its numbers mean, and how far apart its samples are."""

    name: str
    values: tuple[ValueType, ...]
    period_type: ValueType
    period: int
    default: str
    """The value that tools show when nobody says which."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind's numbers, in the order of its values. Times are in nanoseconds, `time` since the epoch.

    `duration` is of a profile of some seconds. What sums up since the start has none, as in Go, or Parca would add
    one to the other.
    """

    kind: Kind
    samples: Samples
    time: int
    duration: int = 0
    comments: tuple[str, ...] = ()

    def since(self, before: Profile) -> Profile:
        """What came since an earlier profile of the same kind; what did not change is left out."""
        samples = dict(self.samples)
        for key, values in before.samples.items():
            samples[key] = tuple(
                now - then for now, then in zip(samples.get(key, (0,) * len(values)), values, strict=True)
            )
        changed = {key: values for key, values in samples.items() if any(values)}
        return Profile(self.kind, changed, before.time, self.time - before.time, self.comments)


def synthetic(name: str) -> Frame:
    """A frame that stands for something that is no function."""
    return Frame(name, "", 0, 0)


def _counting(name: str) -> Kind:
    only = ValueType(name, "count")
    return Kind(name, (only,), only, 1, name)


def _waiting(name: str) -> Kind:
    contentions = ValueType("contentions", "count")
    return Kind(name, (contentions, ValueType("delay", "nanoseconds")), contentions, 1, "delay")


def _timed(name: str, value: str) -> Kind:
    time = ValueType(value, "nanoseconds")
    return Kind(name, (ValueType("samples", "count"), time), time, PERIOD_NANOSECONDS, value)


def _space(name: str, default: str) -> Kind:
    values = (
        ValueType("alloc_objects", "count"),
        ValueType("alloc_space", "bytes"),
        ValueType("inuse_objects", "count"),
        ValueType("inuse_space", "bytes"),
    )
    # Period 1: every allocation counts. Go samples one in 512 KiB.
    return Kind(name, values, ValueType("space", "bytes"), 1, default)


PERIOD_NANOSECONDS: Final = 10_000_000
CPU: Final = _timed("profile", "cpu")
WALL: Final = _timed("wall", "wall")
HEAP: Final = _space("heap", "inuse_space")
ALLOCS: Final = _space("allocs", "alloc_space")
GOROUTINE: Final = _counting("goroutine")
THREADCREATE: Final = _counting("threadcreate")
FD: Final = _counting("fd")
BLOCK: Final = _waiting("block")
MUTEX: Final = _waiting("mutex")
