"""Bytes that count as held for as long as an object lives which stands for them. Pure."""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from tidings.ops.budget import Account

STATES_BYTES: Final = 256
"""An account's name, and the table of its states."""
STATE_BYTES: Final = 512
"""A state and the name of its data type, each as long as it may be, and their place in that table."""
SMALL_BYTES: Final = 4_096
"""What any connection may keep, whether or not there is room: the number of connections bounds it."""


class Held:
    """So many bytes of an account, given back when the last reference to this is gone."""

    __slots__ = ("_account", "size")

    def __init__(self, account: Account, size: int) -> None:
        """Count them, whether or not there is room."""
        self._account = account
        self.size = size
        account.add(size)

    def __del__(self) -> None:
        self._account.give(self.size)

    def grow(self, size: int) -> None:
        """Count so many more, whether or not there is room."""
        self.size += size
        self._account.add(size)

    @property
    def is_too_much(self) -> bool:
        """Whether this is more than anybody may keep while there is no room."""
        return self.size > SMALL_BYTES and not self._account.take(0)


def size_of(states: Sized) -> int:
    """The bytes that the states of one account take at the most, whatever they are: to look would cost more."""
    return STATES_BYTES + STATE_BYTES * len(states)
