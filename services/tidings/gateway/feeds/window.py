"""The window: a shard's recent batches, kept so that a client that comes back learns what it missed. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Protocol

from tidings.gateway.feeds.mentions import MOST
from tidings.gateway.feeds.packed import Packing
from tidings.gateway.feeds.part import BATCH_BYTES, Part, bytes_of
from tidings.ops.budget import Budget
from tidings.wire.change import Change
from tidings.wire.cursor import Position

PARTS: Final = 16
"""What is too old is dropped a part at a time: change by change it would cost as much as keeping it."""
PART_BYTES: Final = 1024 * 1024
PART_CHANGES: Final = 16_384
"""A part takes no further batch beyond these, so that little is dropped at once when there is no room, and a look at
one part is short."""
MAX_PARTS: Final = 256
"""Nor are there ever more to look at: four million changes of a shard within five minutes."""


class Room(Protocol):
    """Counts the bytes of windows; see budget.Account."""

    def take(self, size: int) -> bool:
        """Count more, before they are kept; False, and nothing counted, where there is no room."""

    def add(self, size: int) -> None:
        """Count more, whether or not there is room."""

    def give(self, size: int) -> None:
        """Count fewer."""


class Place(Enum):
    """Where a position is, seen from a window."""

    INSIDE = auto()
    BEFORE = auto()
    """Older than everything here."""
    BEYOND = auto()
    """Newer than everything here, or there is nothing here."""
    NOWHERE = auto()
    """Another batch is there, or none: it is a position in another log."""


class Window:
    """The batches of the last `seconds` and somewhat more, as long as there is room.

    `room` counts their bytes. Where there is none, there is no window but the newest position.

    A batch is kept packed, and an index has the changes of each account, the newest first. So whoever missed nothing
    costs a look at the index of each part that is newer, and whoever missed something has those batches unpacked.
    """

    def __init__(self, seconds: float, room: Room | None = None, packing: Packing | None = None) -> None:
        self._seconds = seconds
        self._room: Room = room or Budget().account("windows")
        self._packing = packing or Packing()
        self._parts: deque[Part] = deque()

    def __len__(self) -> int:
        """How many batches there are."""
        return sum(map(len, self._parts))

    @property
    def changes(self) -> int:
        """How many changes there are."""
        return sum(part.changes for part in self._parts)

    @property
    def position(self) -> Position | None:
        """The newest batch's position."""
        return self._parts[-1].position if self._parts else None

    @property
    def ages(self) -> list[float]:
        """When the newest batch of each part came, the oldest part first; none of a window that is but a position."""
        return [] if len(self) == 1 and not self.changes else [part.at for part in self._parts]

    def append(self, position: Position, at: float, changes: Sequence[Change]) -> None:
        """Keep a batch and drop what is too old; never the newest position.

        `at` is when the batch came, in seconds of a clock that does not go back.
        """
        packed = self._packing.pack(changes)
        size = bytes_of(packed, len(changes))
        part = self._next(position.offset, at, len(changes))
        if len(changes) > MOST or not self._room.take(size if part is None else size + part.bytes):
            self.clear()
            self._begin(position, at)
            return
        if part is not None:
            if self._parts:
                self._room.give(self._parts[-1].seal())
            self._parts.append(part)
        self._parts[-1].append(position, at, changes, packed, size)
        while self._parts[0].at < at - self._seconds or len(self._parts) > MAX_PARTS:
            self._drop(self._parts.popleft())

    def _next(self, offset: int, now: float, changes: int) -> Part | None:
        """The part that begins with a batch of so many changes; None where the newest one takes it."""
        if not self._parts:
            return Part(offset, now, self._packing)
        newest = self._parts[-1]
        if not self._is_full(newest, offset, now, changes):
            return None
        # What comes in the next seconds is mostly as much as came in the last.
        return Part(offset, now, self._packing, newest.changes)

    def _is_full(self, part: Part, offset: int, now: float, changes: int) -> bool:
        return (
            part.bytes >= PART_BYTES
            or part.changes >= PART_CHANGES
            or part.begun < now - self._seconds / PARTS
            or not part.takes(offset, changes)
        )

    def _drop(self, part: Part) -> int:
        self._room.give(part.bytes)
        return part.bytes

    def drop_oldest(self) -> int:
        """Drop the oldest part, and of the newest all but its last position; how many bytes that were."""
        part = self._parts.popleft()
        dropped = self._drop(part)
        if not self._parts:
            dropped -= self._begin(part.position, part.at)
        return dropped

    def _begin(self, position: Position, at: float) -> int:
        """Have nothing but a position: whoever was told less is older than this window. The bytes that this takes."""
        part = Part(position.offset, at, self._packing)
        part.append(position, at, (), b"", BATCH_BYTES)
        self._parts.append(part)
        self._room.add(part.bytes)
        return part.bytes

    def clear(self) -> None:
        """Drop everything, the newest position too."""
        while self._parts:
            self._drop(self._parts.popleft())

    def find(self, position: Position) -> Place:
        """Where a position is: a look at each part, and one bisection."""
        if not self._parts or position.offset > self._parts[-1].last:
            return Place.BEYOND
        if position.offset < self._parts[0].first:
            return Place.BEFORE
        part = next(part for part in self._parts if position.offset <= part.last)
        return Place.INSIDE if part.has(position) else Place.NOWHERE

    def missed(self, account: str, since: Position) -> dict[str, str]:
        """What changed in an account after a position inside: the newest states by type, empty when nothing did."""
        missed: dict[str, str] = {}
        grown = 0
        for part in reversed(self._parts):
            if part.last <= since.offset:
                break
            counted = part.bytes
            for name, (offset, state) in reversed(part.newest(account).items()):
                if offset <= since.offset:
                    break
                missed.setdefault(name, state)
            grown += part.bytes - counted
        if grown:
            self._room.add(grown)
            # Many who ask are no reason to keep more than there is room for.
            self._room.take(0)
        return missed
