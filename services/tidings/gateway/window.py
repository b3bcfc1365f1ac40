"""The window: a shard's recent batches, kept so that a client that comes back learns what it missed. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter
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


class Window:
    """The batches of the last `seconds`, at most MAX_BATCHES of them and MAX_CHANGES changes.

    Of an account it keeps the newest state of each data type, with the offset that it came at: whoever asks what an
    account missed gets just those that came after.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: deque[_Kept] = deque()
        self._newest: dict[str, dict[str, tuple[int, str]]] = {}
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
        for account, changed, _ in changes:
            newest = self._newest.get(account)
            if newest is None:
                newest = self._newest[account] = {}
            for name, state in changed.items():
                newest[name] = (offset, state)
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
            newest = self._newest.get(account)
            if newest is None:
                continue
            left = {name: at for name, at in newest.items() if at[0] > oldest.offset}
            if left:
                self._newest[account] = left
            else:
                del self._newest[account]

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
        newest: Mapping[str, tuple[int, str]] = self._newest.get(account, {})
        return {name: state for name, (offset, state) in newest.items() if offset > since.offset}
