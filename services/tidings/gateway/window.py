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
PARTS: Final = 16
"""What is too old is dropped a part at a time: change by change it would cost as much as keeping it."""


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


_offset = attrgetter("offset")

_Changes = tuple[int, Mapping[str, str], "_Changes | None"]
"""The changes of an account from the newest on, each with the offset that it came at."""


class _Part:
    """Some batches in a row."""

    __slots__ = ("changes", "kept", "of_account")

    def __init__(self) -> None:
        self.kept: list[_Kept] = []
        self.changes = 0
        self.of_account: dict[str, _Changes] = {}

    def append(self, offset: int, check: bytes, appended: float, changes: Sequence[Told]) -> None:
        self.kept.append(_Kept(offset, check, appended))
        self.changes += len(changes)
        of_account = self.of_account
        earlier = of_account.get
        for account, changed, _ in changes:
            of_account[account] = (offset, changed, earlier(account))


class Window:
    """The batches of the last `seconds` and somewhat more, at most MAX_BATCHES of them and MAX_CHANGES changes.

    The changes of an account are also by themselves, the newest first: whoever asks what an account missed looks only
    at those that came after.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._parts: deque[_Part] = deque()
        self._batches = 0
        self._changes = 0

    def __len__(self) -> int:
        return self._batches

    @property
    def position(self) -> Position | None:
        """The newest batch's position."""
        if not self._parts:
            return None
        newest = self._parts[-1].kept[-1]
        return Position(newest.offset, newest.check)

    def append(self, position: Position, appended: float, changes: Sequence[Told]) -> None:
        """Keep a batch, `appended` in Unix seconds, and drop what is too old or too much; never the newest."""
        if not self._parts or self._is_full(self._parts[-1], appended):
            self._parts.append(_Part())
        self._parts[-1].append(*position, appended, changes)
        self._batches += 1
        self._changes += len(changes)
        while len(self._parts) > 1 and (
            self._parts[0].kept[-1].appended < appended - self._seconds
            or self._batches > MAX_BATCHES
            or self._changes > MAX_CHANGES
        ):
            oldest = self._parts.popleft()
            self._batches -= len(oldest.kept)
            self._changes -= oldest.changes

    def _is_full(self, part: _Part, now: float) -> bool:
        return (
            part.changes >= MAX_CHANGES // PARTS
            or len(part.kept) >= MAX_BATCHES // PARTS
            or part.kept[0].appended < now - self._seconds / PARTS
        )

    def find(self, position: Position) -> Place:
        """Where a position is: a look at each part, and one bisection."""
        if not self._parts or position.offset > self._parts[-1].kept[-1].offset:
            return Place.BEYOND
        if position.offset < self._parts[0].kept[0].offset:
            return Place.BEFORE
        kept = next(part.kept for part in self._parts if position.offset <= part.kept[-1].offset)
        found = kept[bisect_left(kept, position.offset, key=_offset)]
        return Place.INSIDE if found[:2] == position else Place.NOWHERE

    def missed(self, account: str, since: Position) -> dict[str, str]:
        """What changed in an account after a position inside: the newest states by type, empty when nothing did."""
        missed: dict[str, str] = {}
        for part in reversed(self._parts):
            if part.kept[-1].offset <= since.offset:
                break
            changes = part.of_account.get(account)
            while changes is not None and changes[0] > since.offset:
                _, changed, changes = changes
                missed = {**changed, **missed}
        return missed
