"""The accounts that are pushed to most, in bounded memory: the space-saving sketch of Metwally et al. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MOST: Final = 64
HALVED_SECONDS: Final = 30.0
"""What is told is that of the last minute or so: everything counts half after so long."""


class Talkers:
    """Counts by account; one that is new takes the place, and the count, of the one with the least."""

    def __init__(self, clock: Callable[[], float], most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._counts: dict[str, float] = {}
        self._halved = clock()

    def count(self, account: str, number: int) -> None:
        """So many more pushes to an account."""
        if not number:
            return
        self._age()
        counts = self._counts
        if account not in counts and len(counts) >= self._most:
            least = min(counts, key=counts.__getitem__)
            counts[account] = counts.pop(least)
        counts[account] = counts.get(account, 0.0) + number

    def _age(self) -> None:
        halvings = int((self._clock() - self._halved) / HALVED_SECONDS)
        if halvings > 0:
            self._halved += halvings * HALVED_SECONDS
            aged = {account: count / 2.0 ** min(halvings, 64) for account, count in self._counts.items()}
            self._counts = {account: count for account, count in aged.items() if count >= 1.0}

    def shares(self, most: int) -> list[tuple[str, float]]:
        """The accounts with most, and their shares of all pushes that were counted, in 0..1."""
        counts = dict(self._counts)
        total = sum(counts.values())
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
        return [(account, count / total) for account, count in ranked]
