"""The windows of all shards, which share a bound in bytes. Pure."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from tidings.gateway.feeds.packed import Packing
from tidings.gateway.feeds.window import Window
from tidings.ops.budget import Account

AT_ONCE: Final = 16
"""One in so many of the bytes is made room for at once: to find out which parts are the oldest takes a look at all."""


class Windows:
    """Makes windows, and makes room for them: where there is none, the oldest parts go first, of whichever shard.

    `held` counts what they keep; `cut` how many parts went before their time.
    """

    def __init__(self, held: Account) -> None:
        self.cut = 0
        self._held = held
        self._packing = Packing()
        self._open: dict[Window, None] = {}

    @property
    def bytes(self) -> int:
        return self._held.held

    def open(self, seconds: float) -> Window:
        """A window of the last so many seconds, empty yet."""
        window = Window(seconds, self, self._packing)
        self._open[window] = None
        return window

    def close(self, window: Window) -> None:
        """Forget a window, and what it keeps."""
        window.clear()
        self._open.pop(window, None)

    def take(self, size: int) -> bool:
        if self._held.take(size):
            return True
        held = self._held
        self.make_room(max(size, held.held + size - held.limit, held.held // AT_ONCE))
        return self._held.take(size)

    def add(self, size: int) -> None:
        self._held.add(size)

    def give(self, size: int) -> None:
        self._held.give(size)

    def make_room(self, size: int) -> int:
        """Drop the oldest parts until so many bytes are free, or nothing but positions is left; how many are.

        Whoever comes back from before them is told from the log: that costs more, and nothing is lost.
        """
        ages = sorted(((at, window) for window in self._open for at in window.ages), key=itemgetter(0))
        freed = 0
        for _, window in ages:
            if freed >= size:
                break
            freed += window.drop_oldest()
            self.cut += 1
        return freed
