"""The timer wheel: one coarse visit per connection, instead of a timer handle each. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from tidings.gateway.connection import Connection


class Wheel:
    """Connections by the time of their next visit, to `resolution` seconds, never early, however far ahead."""

    resolution: Final = 0.25

    def __init__(self, now: float) -> None:
        self._turns: defaultdict[int, list[Connection]] = defaultdict(list)
        self._turned = int(now / self.resolution)

    def add(self, connection: Connection, due: float) -> None:
        """Visit a connection at `due`, in the clock of `advance`."""
        turn = int(due / self.resolution) + 1
        self._turns[max(turn, self._turned + 1)].append(connection)

    def advance(self, now: float) -> list[Connection]:
        """Those whose time has come by `now`."""
        until = int(now / self.resolution)
        due: list[Connection] = []
        for turn in range(self._turned + 1, until + 1):
            due += self._turns.pop(turn, ())
        self._turned = max(until, self._turned)
        return due
