"""A part of a window: some batches in a row, and what they changed in each account. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from tidings.gateway.feeds.mentions import MOST, SLOT_BYTES, Mentions
from tidings.gateway.feeds.packed import Packing
from tidings.gateway.model.changes import filled
from tidings.gateway.model.held import size_of
from tidings.wire.change import Change
from tidings.wire.cursor import CHECK_BYTES, Position

EMPTY_BYTES: Final = 1024
BATCH_BYTES: Final = 14
CHANGE_BYTES: Final = 9
"""What a part, a batch in it and a change take in memory, at the most, beside what is kept of the changes."""
FEW: Final = 8
"""So many changes of an account are read anew each time that somebody asks; what more of them say is remembered."""
_SPAN: Final = 2**16

Newest = dict[str, tuple[int, str]]
"""Data type -> the offset and the state of its newest change; the oldest of these first."""


def bytes_of(packed: bytes, changes: int) -> int:
    """What a batch is counted as: never less than it takes in a part, which makes room for more than is there."""
    return BATCH_BYTES + CHANGE_BYTES * changes + len(packed) * 9 // 8


class Part:
    """Some batches in a row with so many `changes`, from the offset `first` on, counted as so many `bytes`.

    `begun` is when the first of them came, and `at` when the newest did. There is no object for a batch or a change:
    their places are numbers in arrays. `expected` is about how many changes there will be; a part takes more, too.
    """

    __slots__ = (
        "_checks",
        "_ends",
        "_known",
        "_mentions",
        "_offsets",
        "_packed",
        "_packing",
        "_starts",
        "at",
        "begun",
        "bytes",
        "changes",
        "first",
    )

    def __init__(self, first: int, begun: float, packing: Packing, expected: int = 0) -> None:
        self.first = first
        self._packing = packing
        self.begun = self.at = begun
        # Never fewer than there are chains.
        self.bytes = EMPTY_BYTES + SLOT_BYTES * expected
        self.changes = 0
        self._offsets = array("H")
        """By batch: its offset, less the first one's."""
        self._checks = bytearray()
        self._starts = array("H")
        """By batch: how many changes come before its own."""
        self._ends = array("I")
        """By batch: where its changes end in `_packed`."""
        self._packed = bytearray()
        self._mentions = Mentions(expected)
        self._known: dict[str, tuple[int, Newest]] = {}
        """By account, where that took many: how many of all changes have been looked at, and what they said."""

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self._offsets)

    @property
    def last(self) -> int:
        """The newest batch's offset."""
        return self.first + self._offsets[-1]

    @property
    def position(self) -> Position:
        """The newest batch's position."""
        return self._position(len(self) - 1)

    def _position(self, index: int) -> Position:
        check = self._checks[CHECK_BYTES * index : CHECK_BYTES * (index + 1)]
        return Position(self.first + self._offsets[index], bytes(check))

    def takes(self, offset: int, changes: int) -> bool:
        """Whether there is a number for another batch at this offset, and for so many changes."""
        return offset - self.first < _SPAN and self.changes + changes <= MOST

    def append(self, position: Position, at: float, changes: Sequence[Change], packed: bytes, size: int) -> None:
        """Keep a batch that is counted as `size`."""
        self.at = at
        self.bytes += size
        self._offsets.append(position.offset - self.first)
        self._checks += position.check
        self._starts.append(self.changes)
        self._packed += packed
        self._ends.append(len(self._packed))
        self._mentions.extend([change.account for change in changes])
        self.changes += len(changes)

    def seal(self) -> int:
        """Give back what was there to append into, as nothing more is appended; how many bytes fewer are counted."""
        self._offsets, self._starts, self._ends = self._offsets[:], self._starts[:], self._ends[:]
        self._checks, self._packed = self._checks[:], self._packed[:]
        self._mentions.seal()
        spare = len(self._packed) // 8
        self.bytes -= spare
        return spare

    def has(self, position: Position) -> bool:
        """Whether this batch is at this offset here."""
        index = bisect_left(self._offsets, position.offset - self.first)
        return self._position(index) == position

    def newest(self, account: str) -> Newest:
        """What is known of an account, by data type."""
        looked, before = self._known.get(account, (0, {}))
        places = self._mentions.of(account, looked)
        if not places:
            return before
        found: Newest = {}
        for batch, inside in groupby(places, self._batch_of):
            position, first, told = self._position(batch), self._starts[batch], self._told(batch)
            for place in inside:
                name, changed = told[place - first]
                if name == account and not changed.keys() <= found.keys():
                    for data_type, state in filled(changed, position, place - first).items():
                        found.setdefault(data_type, (position.offset, state))
        for data_type, change in reversed(before.items()):
            found.setdefault(data_type, change)
        newest = dict(reversed(found.items()))
        if looked or len(places) > FEW:
            self.bytes += size_of(newest) - (size_of(before) if looked else 0)
            self._known[account] = (self.changes, newest)
        return newest

    def _batch_of(self, place: int) -> int:
        """The batch that the change in this place of all is in."""
        return bisect_right(self._starts, place) - 1

    def _told(self, batch: int) -> list[tuple[str, dict[str, str | None]]]:
        begin = self._ends[batch - 1] if batch else 0
        return self._packing.unpack(memoryview(self._packed)[begin : self._ends[batch]])
