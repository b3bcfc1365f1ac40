"""One pass over a shard's past, on behalf of everybody who asks what they missed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from tidings.gateway.model.changes import ANYTHING, Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.held import STATE_BYTES, Held
from tidings.gateway.model.pending import MAX_PENDING_TYPES, ResyncReason
from tidings.wire.cursor import Position

START_SECONDS: Final = 0.02
"""What a pass costs beside its entries: the log delivers ahead, and much of that is not taken any more."""
_ASIDE: Final = 64
"""How many that have left may stay in the queue of those ahead, beside as many as are there."""


class Seeker:
    """Asks what its accounts, all of one shard, missed of some data types (None: all) since `position`.

    A pass adds to `missed`, by account and type, and moves `position` on, as far as it came; or it finds a `fault`, and
    there is no saying; or it is `full`, and there is no room for more. `held` counts what it keeps; `whose` it is, and
    its accounts, pay for the pass.
    """

    __slots__ = ("accounts", "fault", "full", "held", "mark", "missed", "position", "types", "whose")

    def __init__(
        self,
        whose: Connection,
        accounts: Sequence[str],
        types: frozenset[str] | None,
        since: Position,
        missed: dict[str, dict[str, str]],
        held: Held,
    ) -> None:
        self.whose = whose
        self.accounts = accounts
        self.types = types
        self.position = since
        self.missed = missed
        self.fault: ResyncReason | None = None
        self.full = False
        self.held = held
        self.mark: float | None = None

    def hear(self, account: str, changed: Mapping[str, str]) -> None:
        """Note newer states of one of its accounts."""
        types = self.types
        states = changed if types is None else {name: state for name, state in changed.items() if name in types}
        if ANYTHING in changed:
            states = changed
        if not states:
            return
        known = self.missed.setdefault(account, {})
        before = len(known)
        # More than this is told as a resynchronisation of the account, whatever the states are.
        if before > MAX_PENDING_TYPES:
            return
        known.update(states)
        if len(known) > before:
            self.held.grow((len(known) - before) * STATE_BYTES)
            self.full = self.held.is_too_much


class Pass:
    """Hands what it is given, in log order, to those whose position it has passed."""

    def __init__(self, seekers: Iterable[Seeker]) -> None:
        self.position: Position | None = None
        self._spent = 0.0
        self._next = 0
        self._all: dict[Seeker, None] = {}
        self._order = count()
        self._ahead: list[tuple[int, int, Seeker]] = []
        self._listening: dict[Seeker, None] = {}
        self._by_account: defaultdict[str, dict[Seeker, None]] = defaultdict(dict)
        self._marks: dict[str, float | None] = {}
        """What had been spent when the first of an account's seekers began to listen."""
        for seeker in seekers:
            self.join(seeker)

    def __contains__(self, seeker: Seeker) -> bool:
        return seeker in self._all

    def begin(self) -> int:
        """The offset to read from: the lowest that somebody asks from."""
        self._next = self._ahead[0][0]
        return self._next

    @property
    def is_wanted(self) -> bool:
        return any(seeker.fault is None and not seeker.full for seeker in self._all)

    def join(self, seeker: Seeker) -> bool:
        """Serve one more, unless the pass is beyond its position already."""
        if seeker.position.offset < self._next:
            return False
        self._all[seeker] = None
        seeker.mark = None
        for account in seeker.accounts:
            self._marks.setdefault(account, None)
        heappush(self._ahead, (seeker.position.offset, next(self._order), seeker))
        return True

    def leave(self, seeker: Seeker) -> float:
        """Serve one less; what the pass has cost for it, in seconds."""
        del self._all[seeker]
        self._deafen(seeker)
        if len(self._ahead) > _ASIDE + 2 * len(self._all):
            self._ahead = [one for one in self._ahead if one[2] in self._all]
            heapify(self._ahead)
        return self._bill(seeker.mark)

    def _deafen(self, seeker: Seeker) -> None:
        if seeker in self._listening:
            del self._listening[seeker]
            for account in seeker.accounts:
                del self._by_account[account][seeker]

    def listens(self, account: str) -> bool:
        """Whether anybody is to be told of an account's changes in the next entry."""
        return bool(self._by_account.get(account))

    def take(self, position: Position, changes: Sequence[Told]) -> None:
        full: dict[Seeker, None] = {}
        for account, changed, _ in changes:
            for seeker in self._by_account.get(account, ()):
                seeker.hear(account, changed)
                if seeker.full:
                    full[seeker] = None
        for seeker in full:
            seeker.missed.clear()
            self._deafen(seeker)
        # What is older than the first entry there is was dropped by the log; a hole further on is another log's.
        skipped = ResyncReason.EXPIRED if self.position is None else ResyncReason.MISMATCH
        self.position = position
        self._next = position.offset + 1
        while self._ahead and self._ahead[0][0] <= position.offset:
            offset, _, seeker = heappop(self._ahead)
            if seeker not in self._all:
                continue
            if seeker.position == position:
                self._listen(seeker)
            else:
                seeker.fault = skipped if offset < position.offset else ResyncReason.MISMATCH

    def _listen(self, seeker: Seeker) -> None:
        self._listening[seeker] = None
        seeker.mark = self._spent
        for account in seeker.accounts:
            self._by_account[account][seeker] = None
            if self._marks[account] is None:
                self._marks[account] = self._spent

    def spend(self, seconds: float) -> None:
        """Note what the entries since the last call have cost."""
        self._spent += seconds

    def _bill(self, mark: float | None) -> float:
        return START_SECONDS + (0.0 if mark is None else self._spent - mark)

    def bills(self) -> Iterator[tuple[Connection | str, float]]:
        """Who has to pay for the pass, and how many seconds: accounts once, and each seeker that is still there.

        Each pays from where the pass came to its position.
        """
        for account, mark in self._marks.items():
            yield account, self._bill(mark)
        for seeker in self._all:
            yield seeker.whose, self._bill(seeker.mark)

    def spoil(self, why: ResyncReason) -> None:
        """What the next entry changed cannot be said, as to `why`: whoever is asking cannot be told."""
        for seeker in self._listening:
            seeker.fault = why
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
        return list(self._all)
