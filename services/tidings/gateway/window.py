"""The window: a shard's recent batches, kept so that a client that comes back learns what it missed. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from tidings.gateway.told import Told
from tidings.wire.cursor import Position

MAX_BATCHES: Final = 10_000
MAX_CHANGES: Final = 100_000


class Place(Enum):
    """Where a position is, seen from a window."""

    INSIDE = auto()
    BEFORE = auto()
    """Older than everything here."""
    BEYOND = auto()
    """Newer than everything here, or there is nothing here."""
    NOWHERE = auto()
    """Another batch is there, or none: it is a position in another log."""


class _Kept(NamedTuple):
    offset: int
    check: bytes
    appended: float
    accounts: Sequence[str]


_offset = attrgetter("offset")
_offset_of = itemgetter(0)


class Window:
    """The batches of the last `seconds`, at most MAX_BATCHES of them and MAX_CHANGES changes.

    The changes of an account are also by themselves, each with the offset that it came at, the oldest first: whoever
    asks what an account missed looks only at those that came after.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: deque[_Kept] = deque()
        self._of_account: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
        self._changes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def position(self) -> Position | None:
        """The newest batch's position."""
        if not self._kept:
            return None
        newest = self._kept[-1]
        return Position(newest.offset, newest.check)

    def append(self, position: Position, appended: float, changes: Sequence[Told]) -> None:
        """Keep a batch, `appended` in Unix seconds, and drop what is too old or too much; never the newest."""
        offset, check = position
        self._kept.append(_Kept(offset, check, appended, [change.account for change in changes]))
        self._changes += len(changes)
        of_account = self._of_account
        for account, changed, _ in changes:
            earlier = of_account.get(account)
            if earlier is None:
                of_account[account] = [(offset, changed)]
            else:
                earlier.append((offset, changed))
        while len(self._kept) > 1 and (
            self._kept[0].appended < appended - self._seconds
            or len(self._kept) > MAX_BATCHES
            or self._changes > MAX_CHANGES
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._kept.popleft()
        self._changes -= len(oldest.accounts)
        for account in oldest.accounts:
            left = self._of_account[account]
            del left[0]
            if not left:
                del self._of_account[account]

    def find(self, position: Position) -> Place:
        """Where a position is: one bisection."""
        if not self._kept or position.offset > self._kept[-1].offset:
            return Place.BEYOND
        if position.offset < self._kept[0].offset:
            return Place.BEFORE
        found = self._kept[bisect_left(self._kept, position.offset, key=_offset)]
        return Place.INSIDE if found[:2] == position else Place.NOWHERE

    def missed(self, account: str, since: Position) -> dict[str, str]:
        """What changed in an account after a position inside: the newest states by type, empty when nothing did."""
        changes = self._of_account.get(account, [])
        missed: dict[str, str] = {}
        for _, changed in changes[bisect_right(changes, since.offset, key=_offset_of) :]:
            missed |= changed
        return missed
