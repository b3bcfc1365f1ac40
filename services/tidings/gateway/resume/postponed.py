"""Connections whose turn is later: one place each, and none for who has left. Pure."""

from __future__ import annotations

from typing import Final

from tidings.gateway.model.connection import Connection


class Postponed:
    """Connections by when they are due, to `resolution` seconds and never early, in the clock of the callers."""

    resolution: Final = 0.125

    def __init__(self) -> None:
        self._turns: dict[int, dict[Connection, None]] = {}
        self._turn_of: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._turn_of)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._turn_of

    def put(self, connection: Connection, due: float) -> None:
        """Have a connection wait until `due`; one that waits already is moved."""
        self.discard(connection)
        turn = int(due / self.resolution) + 1
        self._turn_of[connection] = turn
        self._turns.setdefault(turn, {})[connection] = None

    def discard(self, connection: Connection) -> None:
        """Forget a connection, if it is there."""
        turn = self._turn_of.pop(connection, None)
        if turn is not None:
            connections = self._turns[turn]
            del connections[connection]
            if not connections:
                del self._turns[turn]

    @property
    def due(self) -> float | None:
        """When the next are due; None: nobody waits."""
        return min(self._turns) * self.resolution if self._turns else None

    def take(self, now: float) -> list[Connection]:
        """Those that are due, the first ones first; they wait no longer."""
        taken: list[Connection] = []
        for turn in sorted(turn for turn in self._turns if turn * self.resolution <= now):
            taken += self._turns.pop(turn)
        for connection in taken:
            del self._turn_of[connection]
        return taken
