"""What somebody may make this process spend: some of its time at once, and then a share of it. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

_TIDY_FROM: Final = 256


class Allowance:
    """Each payer may cost `burst` seconds at once, and from then on `share` (0..1) of the time that passes.

    Nothing is known of a payer that has cost nothing lately.
    """

    def __init__(self, share: float, burst: float) -> None:
        self._share = share
        self._ahead = burst / share
        self._paid: dict[Hashable, float] = {}
        """Until when the share of each payer is spent, in the clock of the callers."""
        self._tidy_at = _TIDY_FROM

    def __len__(self) -> int:
        return len(self._paid)

    def due(self, payers: Iterable[Hashable], now: float) -> float:
        """In how many seconds all of these may cost something again; 0: now."""
        paid = self._paid
        return max(0.0, max((paid.get(payer, now) for payer in payers), default=now) - self._ahead - now)

    def charge(self, payer: Hashable, seconds: float, now: float) -> None:
        """Note what a payer has cost."""
        self._paid[payer] = max(self._paid.get(payer, now), now) + seconds / self._share
        if len(self._paid) >= self._tidy_at:
            self._paid = {payer: until for payer, until in self._paid.items() if until > now}
            self._tidy_at = _TIDY_FROM + 2 * len(self._paid)

    def forget(self, payer: Hashable) -> None:
        """Nothing is asked of this payer any more."""
        self._paid.pop(payer, None)
