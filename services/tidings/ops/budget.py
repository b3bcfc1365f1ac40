"""What others make this process hold, in bytes: one budget, with an account for each kind of thing held. Pure.

A count of connections bounds nothing while each may hold much. Whoever keeps bytes for a client, a source or the log
asks an account first, and gives them back with the thing that held them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

OWN_BYTES: Final = 96 * 1024 * 1024
"""What a process takes that holds nothing for anybody."""
HELD_SHARE: Final = 0.5
"""The share of the rest that may be counted: what is counted costs up to twice as much memory."""
LEAST_BYTES: Final = 16 * 1024 * 1024
"""The least budget: with less than this nothing can be served."""
LEAST_LIMIT: Final = OWN_BYTES + int(LEAST_BYTES / HELD_SHARE)
"""The least memory that a process can do with: below it new work is refused from the start."""
TIGHT: Final = 0.80
CRITICAL: Final = 0.90
SLACK: Final = 0.05
"""How far a share falls below the bound of a level before the level ends."""
UNBOUNDED: Final = 2**62
"""The limit of a budget that has none."""


class Level(IntEnum):
    """How near the bounds of memory are."""

    CALM = 0
    TIGHT = 1
    """New work is refused."""
    CRITICAL = 2
    """What holds most is given up, too."""


class Account:
    """The bytes of one kind, out of a budget."""

    __slots__ = ("_budget", "held", "limit", "name", "refused")

    def __init__(self, budget: Budget, name: str, limit: int) -> None:
        self._budget = budget
        self.name = name
        self.limit = limit
        self.held = 0
        self.refused = 0

    @property
    def is_short(self) -> bool:
        """Whether memory is short, so that nothing new is to be begun."""
        return self._budget.level is not Level.CALM

    def take(self, size: int) -> bool:
        """Count `size` more bytes as held, before they are; False, and nothing counted, where there is no room."""
        budget = self._budget
        if self.held + size > self.limit or budget.held + size > budget.limit:
            self.refused += 1
            return False
        self.held += size
        budget.held += size
        return True

    def add(self, size: int) -> None:
        """Count `size` more bytes (fewer, where negative) that are held whether or not there is room for them."""
        self.held += size
        self._budget.held += size

    def give(self, size: int) -> None:
        """Count `size` bytes as held no longer."""
        self.held -= size
        self._budget.held -= size


class Budget:
    """How many bytes may be held in all. `limit` 0 is no bound."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit or UNBOUNDED
        self.held = 0
        self.level = Level.CALM
        self.accounts: dict[str, Account] = {}

    def account(self, name: str, share: float = 1.0, most: int = UNBOUNDED) -> Account:
        """The account of this name, which may take at most this share of the budget, and at most so many bytes."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account(self, name, min(int(self.limit * share), most))
        return account


def budget_bytes(limit: int) -> int:
    """The budget of a process that may use `limit` bytes of memory."""
    return max(LEAST_BYTES, int((limit - OWN_BYTES) * HELD_SHARE))


def assess(used: int, limit: int, budget: Budget, before: Level) -> Level:
    """The level now: by the memory that is used, or by what the budget counts, whichever is nearer to its limit."""
    share = max(used / limit, budget.held / budget.limit)
    for level, bound in ((Level.CRITICAL, CRITICAL), (Level.TIGHT, TIGHT)):
        if share >= (bound - SLACK if before >= level else bound):
            return level
    return Level.CALM


def excess(used: int, limit: int, budget: Budget) -> int:
    """The bytes to give up so that new work need not be refused any more."""
    bound = TIGHT - SLACK
    return max(0, int(used - limit * bound), int(budget.held - budget.limit * bound))
