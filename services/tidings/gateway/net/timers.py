"""The timer wheel: one coarse visit per connection, instead of a timer handle each. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from tidings.gateway.model.connection import CLOSED, Connection

SWEEP_MOST: Final = 1_000
SWEEP_EACH: Final = 4
"""Entries that one sweep looks at: so many, and so many more for each connection that was closed. With four for each,
those that are closed are never more than a third of those that are open, for long."""


class Wheel:
    """Connections by the time of their next visit, to `resolution` seconds, never early, however far ahead.

    A visit may be minutes ahead when its connection closes. To look for the connection then would take too long, and
    to remember where it is would take memory of every idle connection. So it stays until a sweep finds it.
    """

    resolution: Final = 0.25

    def __init__(self, now: float) -> None:
        self._turns: defaultdict[int, list[Connection]] = defaultdict(list)
        self._turned = int(now / self.resolution)
        self._closed = 0
        self._unswept: list[int] = []
        """The turns that the sweep under way has not looked at."""

    def __len__(self) -> int:
        return sum(map(len, self._turns.values()))

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

    def closed(self) -> None:
        """One of them may have been closed: the next sweeps look at every turn."""
        self._closed += 1

    def sweep(self) -> None:
        """Drop closed connections from some of the turns. To be called once for each turn of the wheel."""
        left = SWEEP_MOST + SWEEP_EACH * self._closed
        if self._closed and not self._unswept:
            self._closed = 0
            self._unswept = list(self._turns)
        while left > 0 and self._unswept:
            left -= self._sweep(self._unswept.pop())

    def _sweep(self, turn: int) -> int:
        """Drop them from one turn; how many entries it had, and one for the turn."""
        planned = self._turns.get(turn)
        if planned is None:
            return 1
        open_ones = [connection for connection in planned if connection.handler is not CLOSED]
        if not open_ones:
            del self._turns[turn]
        elif len(open_ones) < len(planned):
            self._turns[turn] = open_ones
        return len(planned) + 1
