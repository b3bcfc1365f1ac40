"""The timer wheel: one coarse visit per connection, instead of a timer handle each. Pure."""

from __future__ import annotations

from typing import Final

from tidings.gateway.connection import Connection

SLOTS: Final = 256


class Wheel:
    """Connections by the time of their next visit, to `resolution` seconds, never early.

    What lies further ahead than the wheel is long is visited at its end and asked again.
    """

    resolution: Final = 0.25

    def __init__(self, now: float) -> None:
        self._slots: list[list[Connection]] = [[] for _ in range(SLOTS)]
        self._turned = int(now / self.resolution)

    def add(self, connection: Connection, due: float) -> None:
        """Visit a connection at `due`, in the clock of `advance`."""
        turn = int(due / self.resolution) + 1
        turn = min(max(turn, self._turned + 1), self._turned + SLOTS - 1)
        self._slots[turn % SLOTS].append(connection)

    def advance(self, now: float) -> list[Connection]:
        """Those whose time has come by `now`."""
        until = int(now / self.resolution)
        due: list[Connection] = []
        for turn in range(self._turned + 1, min(until, self._turned + SLOTS) + 1):
            due += self._slots[turn % SLOTS]
            self._slots[turn % SLOTS] = []
        self._turned = max(until, self._turned)
        return due
