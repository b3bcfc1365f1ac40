"""Counts of objects by type, and what changed between two. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

MOST_TYPES: Final = 60


class TypeCount(NamedTuple):
    """How many there are of a type, and how many more than the last time."""

    name: str
    number: int
    delta: int | None


def compare(now: Mapping[str, int], before: Mapping[str, int] | None) -> list[TypeCount]:
    """The most frequent types; after a first count, those that changed most come first."""
    if before is None:
        found = [TypeCount(name, count, None) for name, count in now.items()]
        return sorted(found, key=lambda one: (-one.number, one.name))[:MOST_TYPES]
    names = {**before, **now}
    found = [TypeCount(name, now.get(name, 0), now.get(name, 0) - before.get(name, 0)) for name in names]
    return sorted(found, key=lambda one: (-abs(one.delta or 0), -one.number, one.name))[:MOST_TYPES]
