"""Where a hub's frames go in tests: wires without a socket."""

from __future__ import annotations

from collections.abc import Sequence

from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.changes import Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import Pending


class FakeSink:
    """The sink of `hub`, told by the hub of what it wrote; whoever derives from it says what becomes of a frame.

    `blocked` are those whose writes are unfinished, `blocking` those whose next write will be. What the hub wants to be
    called for is in `deferred` and `due`.
    """

    hub: Hub

    def __init__(self) -> None:
        self.blocked: set[Connection] = set()
        self.blocking: set[Connection] = set()
        self.deferred = False
        self.due: float | None = None

    def hear(self, connection: Connection, frame: bytes) -> None:
        """A frame comes to a client."""
        raise NotImplementedError

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        for connection in connections:
            self.hear(connection, frame)
            if connection in self.blocking:
                self.blocking.discard(connection)
                self.blocked.add(connection)
                self.hub.blocked(connection)

    def send_each(self, connections: Sequence[Connection], frames: Sequence[bytes]) -> None:
        for connection, frame in zip(connections, frames, strict=True):
            self.send([connection], frame)

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        raise AssertionError("nobody waits for the end")

    def fail(self, connections: Sequence[Connection], error: Exception) -> None:
        raise error

    def turn_away(self, connection: Connection) -> None:
        raise AssertionError("there is room")

    def is_blocked(self, connection: Connection) -> bool:
        return connection in self.blocked

    def defer(self) -> None:
        self.deferred = True

    def cool(self, due: float) -> None:
        self.due = due

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        pass

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        pass

    def merged(self, connection: Connection, account: str, count: int) -> None:
        pass
