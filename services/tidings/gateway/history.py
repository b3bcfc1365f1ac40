"""One pass over a shard's past, on behalf of everybody who asks what they missed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count

from tidings.gateway.pending import ResyncReason
from tidings.gateway.told import Told
from tidings.wire.cursor import Position


class Seeker:
    """Asks what its accounts, all of one shard, missed since `position`.

    A pass adds to `missed` and moves `position` on, as far as it came; or it finds a `fault`, and there is no saying.
    `gone`: nobody asks any more.
    """

    __slots__ = ("accounts", "fault", "gone", "missed", "position")

    def __init__(self, accounts: Sequence[str], since: Position) -> None:
        self.accounts = accounts
        self.position = since
        self.missed: dict[str, dict[str, str]] = {}
        self.fault: ResyncReason | None = None
        self.gone = False


class Pass:
    """Hands what it is given, in log order, to those whose position it has passed."""

    def __init__(self, seekers: Iterable[Seeker]) -> None:
        self.position: Position | None = None
        self._next = 0
        self._all: list[Seeker] = []
        self._order = count()
        self._ahead: list[tuple[int, int, Seeker]] = []
        self._listening: list[Seeker] = []
        self._by_account: defaultdict[str, list[Seeker]] = defaultdict(list)
        for seeker in seekers:
            self.join(seeker)

    def begin(self) -> int:
        """The offset to read from: the lowest that somebody asks from."""
        self._next = self._ahead[0][0]
        return self._next

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still asks."""
        return any(not seeker.gone and seeker.fault is None for seeker in self._all)

    def join(self, seeker: Seeker) -> bool:
        """Serve one more, unless the pass is beyond its position already."""
        if seeker.position.offset < self._next:
            return False
        self._all.append(seeker)
        heappush(self._ahead, (seeker.position.offset, next(self._order), seeker))
        return True

    def take(self, position: Position, changes: Sequence[Told]) -> None:
        """The next entry of the log."""
        for account, changed, _ in changes:
            for seeker in self._by_account.get(account, ()):
                seeker.missed.setdefault(account, {}).update(changed)
        # What is older than the first entry there is was dropped by the log; a hole further on is another log's.
        skipped = ResyncReason.EXPIRED if self.position is None else ResyncReason.MISMATCH
        self.position = position
        self._next = position.offset + 1
        while self._ahead and self._ahead[0][0] <= position.offset:
            offset, _, seeker = heappop(self._ahead)
            if seeker.position == position:
                self._listening.append(seeker)
                for account in seeker.accounts:
                    self._by_account[account].append(seeker)
            else:
                seeker.fault = skipped if offset < position.offset else ResyncReason.MISMATCH

    def spoil(self) -> None:
        """An entry that nobody can read comes next: whoever is asking cannot be told what it was."""
        for seeker in self._listening:
            seeker.fault = ResyncReason.GAP
        self._listening.clear()
        self._by_account.clear()

    def give_up(self) -> None:
        """Nobody can be told anything."""
        for seeker in self._all:
            seeker.fault = seeker.fault or ResyncReason.GAP

    def end(self) -> list[Seeker]:
        """Give everybody back, moved on as far as the pass came for them."""
        if self.position is not None:
            for seeker in self._listening:
                seeker.position = self.position
        return self._all
