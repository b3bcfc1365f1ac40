"""The window: a shard's recent batches, kept so that a client that comes back learns what it missed. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from tidings.gateway.told import Told
from tidings.wire.cursor import Position

MAX_BATCHES: Final = 10_000
MAX_CHANGES: Final = 100_000


class ResyncReason(StrEnum):
    """Why a client cannot be told what it missed."""

    EXPIRED = "expired"
    UNKNOWN = "unknown"
    MISMATCH = "mismatch"
    GAP = "gap"


class _Kept(NamedTuple):
    position: Position
    appended: float
    changes: Sequence[Told]


class Window:
    """The batches of the last `seconds`, at most MAX_BATCHES of them and MAX_CHANGES changes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: deque[_Kept] = deque()
        self._last: dict[str, int] = {}
        self._changes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def position(self) -> Position | None:
        """The newest batch's position."""
        return self._kept[-1].position if self._kept else None

    def append(self, position: Position, appended: float, changes: Sequence[Told]) -> None:
        """Keep a batch, `appended` in Unix seconds, and drop what is too old or too much; never the newest."""
        self._kept.append(_Kept(position, appended, changes))
        self._changes += len(changes)
        for change in changes:
            self._last[change.account] = position.offset
        while len(self._kept) > 1 and (
            self._kept[0].appended < appended - self._seconds
            or len(self._kept) > MAX_BATCHES
            or self._changes > MAX_CHANGES
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._kept.popleft()
        self._changes -= len(oldest.changes)
        for change in oldest.changes:
            if self._last.get(change.account) == oldest.position.offset:
                del self._last[change.account]

    def missed(self, account: str, since: Position) -> Mapping[str, str] | ResyncReason:
        """What changed in an account after `since`, newest states by type; empty when nothing did.

        The usual answer, nothing, costs one look-up and one bisection.
        """
        if not self._kept or since.offset > self._kept[-1].position.offset:
            return ResyncReason.MISMATCH
        if since.offset < self._kept[0].position.offset:
            return ResyncReason.EXPIRED
        index = bisect_left(self._kept, since.offset, key=lambda kept: kept.position.offset)
        if self._kept[index].position != since:
            return ResyncReason.MISMATCH
        states: dict[str, str] = {}
        if self._last.get(account, -1) > since.offset:
            for later in range(index + 1, len(self._kept)):
                for change in self._kept[later].changes:
                    if change.account == account:
                        states.update(change.changed)
        return states
