"""Messages that have just left a folder, so that one which comes into another is known for the same. Pure.

A move is two looks, at the folder that a message has left and at the one that it has come into, and the first may be
over and done with when the second begins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

KEPT_SECONDS: Final = 60.0
MAX_KEPT: Final = 20_000
"""Messages, with at most 255 bytes each of account, name and folder."""


class Departed:
    """Times are seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._left: OrderedDict[tuple[str, bytes], tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def add(self, account: str, folder: bytes, names: Iterable[bytes], now: float) -> None:
        """These messages have left a folder. Those that left longest ago make room."""
        for name in names:
            self._left.pop((account, name), None)
            self._left[account, name] = folder, now
            if len(self._left) > MAX_KEPT:
                self._left.popitem(last=False)
        while self._left and next(iter(self._left.values()))[1] < now - KEPT_SECONDS:
            self._left.popitem(last=False)

    def knows(self, account: str, folder: bytes, name: bytes, now: float) -> bool:
        """Whether a message that is now in `folder` has left another one lately."""
        left = self._left.get((account, name))
        return left is not None and left[0] != folder and now - left[1] <= KEPT_SECONDS
