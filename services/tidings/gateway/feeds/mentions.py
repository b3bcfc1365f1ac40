"""Which of a row of changes are of an account: an index of a few bytes a change. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

MOST: Final = 2**16 - 1
"""How many changes an index takes."""
SLOTS: Final = 4
"""How many chains an empty index has."""
SLOT_BYTES: Final = 2
"""What a chain takes, beside its changes."""
CHAIN: Final = 2
"""How long the chains may be on average, before there are twice as many."""
_BITS: Final = 2**32 - 1


class Mentions:
    """Chains of changes, each from the newest back, as numbers in arrays: no object for a change or an account.

    An account is known by 32 bits of its hash. So now and then a change of another account is among those of an
    account; none of its own is ever missing. The hash is Python's own, with the key of this process: nobody outside can
    choose accounts that share a chain.
    """

    __slots__ = ("_earlier", "_hashes", "_newest")

    def __init__(self, expected: int = 0) -> None:
        """Begin with as many chains as `expected` changes need: to have more later costs as much as to take them."""
        self._hashes = array("I")
        self._earlier = array("H")
        """By change: the number of the one before it in its chain. Numbers begin with 1, and 0 is none."""
        self._newest = array("H", bytes(SLOT_BYTES * _slots(expected, SLOTS)))
        """By slot: the number of the newest change in its chain."""

    def __len__(self) -> int:
        return len(self._hashes)

    def extend(self, accounts: Iterable[str]) -> None:
        """Take one more change of each of these accounts, in this order; at most MOST in all."""
        hashes, earlier, newest = self._hashes, self._earlier, self._newest
        slot_bits = len(newest) - 1
        for account in accounts:
            hashed = hash(account) & _BITS
            slot = hashed & slot_bits
            hashes.append(hashed)
            earlier.append(newest[slot])
            newest[slot] = len(hashes)
        if len(hashes) > CHAIN * len(newest):
            self._spread()

    def _spread(self) -> None:
        """Have enough chains that they are short again."""
        slots = _slots(len(self._hashes), len(self._newest))
        self._newest = newest = array("H", bytes(SLOT_BYTES * slots))
        earlier = self._earlier
        for index, hashed in enumerate(self._hashes):
            slot = hashed & (slots - 1)
            earlier[index] = newest[slot]
            newest[slot] = index + 1

    def seal(self) -> None:
        """Give back what was there to append into."""
        self._hashes, self._earlier = self._hashes[:], self._earlier[:]

    def of(self, account: str, known: int) -> list[int]:
        """The changes of an account, as places in the row, from the newest back; without the first `known` ones."""
        hashes, earlier = self._hashes, self._earlier
        hashed = hash(account) & _BITS
        number = self._newest[hashed & (len(self._newest) - 1)]
        places = []
        while number > known:
            index = number - 1
            if hashes[index] == hashed:
                places.append(index)
            number = earlier[index]
        return places


def _slots(changes: int, slots: int) -> int:
    """How many chains so many changes need, `slots` at the least."""
    while changes > CHAIN * slots:
        slots *= 2
    return slots
