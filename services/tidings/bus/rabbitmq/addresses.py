"""Which of a broker's addresses to try next, and when to leave one that does not serve what is asked of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

REMEMBERED_SECONDS: Final = 600.0
FIRST_STAY_SECONDS: Final = 5.0
LONGEST_STAY_SECONDS: Final = 300.0


class Address(NamedTuple):
    """An address that a broker's name stands for."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses:
    """Remembers what was tried or left lately. Times are seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._left: dict[Address, float] = {}

    def order(self, found: Iterable[Address], now: float, draw: Callable[[], float]) -> list[Address]:
        """In which order to try them: those not tried lately first and at random, then who was left longest ago.

        `draw` gives numbers in 0..1, so that clients spread.
        """
        addresses = set(found)
        lately = {each: left for each, left in self._left.items() if now - left < REMEMBERED_SECONDS}
        self._left = {each: left for each, left in lately.items() if each in addresses}
        return sorted(addresses, key=lambda each: (self._left.get(each, -REMEMBERED_SECONDS), draw()))

    def leave(self, address: Address, now: float) -> None:
        """It is being tried, or a connection to it has ended: others are tried before it."""
        self._left[address] = now


class Moves:
    """How often to leave a node that is connected but lacks something: another one may lack something else.

    At once the first time, and later from a node that serves nothing after the shortest stay. Whoever keeps moving from
    nodes that do serve something stays twice as long each time, since that is cut off by a move.
    """

    def __init__(self) -> None:
        self._stay = FIRST_STAY_SECONDS
        self._moved: float | None = None

    def wanted(self, now: float, *, cuts: bool) -> bool:
        """Whether to leave now; `cuts`: something is cut off by that."""
        if self._moved is None or now - self._moved >= REMEMBERED_SECONDS:
            self._stay = FIRST_STAY_SECONDS
        elif now - self._moved < (self._stay if cuts else FIRST_STAY_SECONDS):
            return False
        elif cuts:
            self._stay = min(LONGEST_STAY_SECONDS, 2 * self._stay)
        self._moved = now
        return True
