"""The rest of writes that a socket did not take whole, counted in bytes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from tidings.gateway.model.connection import Connection
from tidings.ops.budget import Account

MAX_UNSENT_BYTES: Final = 256 * 1024
"""What replies may add to the unfinished write of one connection."""
MAX_REPLIES_BYTES: Final = 64 * 1024 * 1024
"""What waits for all connections together, where the budget allows more."""
UNSENT_BYTES: Final = 256
"""What an unfinished write takes beside its bytes."""


@dataclass(slots=True)
class _Rest:
    """`queued` of the bytes before it wait in the kernel, since `since`."""

    data: bytearray
    queued: int
    since: float


class Unsent:
    """A table of them. `most` bounds the bytes that are added to one; `kept` counts those of all."""

    def __init__(self, most: int, kept: Account) -> None:
        self._most = most
        self._kept = kept
        self._rests: dict[Connection, _Rest] = {}
        self.connections: Collection[Connection] = self._rests.keys()
        """Those whose writes are unfinished. Every push asks for it, hence no method."""

    def begin(self, connection: Connection, rest: bytes, queued: int, now: float) -> bool:
        """Keep the rest of a write, of whatever size; False, and nothing kept, where there is no room for it."""
        if not self._kept.take(UNSENT_BYTES + len(rest)):
            return False
        self._rests[connection] = _Rest(bytearray(rest), queued, now)
        return True

    def append(self, connection: Connection, data: bytes) -> str | None:
        """Keep more behind it; else the reason why not, which is a metric label."""
        rest = self._rests[connection].data
        if len(rest) + len(data) > self._most:
            return "unread_replies"
        if not self._kept.take(len(data)):
            return "replies_full"
        rest += data
        return None

    def data(self, connection: Connection) -> bytearray:
        """What is to be written."""
        return self._rests[connection].data

    def size(self, connection: Connection) -> int:
        """How many bytes that is; 0 for a connection whose writes are finished."""
        rest = self._rests.get(connection)
        return 0 if rest is None else len(rest.data)

    def sent(self, connection: Connection, count: int, queued: int, now: float) -> bool:
        """So many bytes of it were written; whether that is all of it, which is forgotten then."""
        rest = self._rests[connection]
        del rest.data[:count]
        self._kept.give(count)
        rest.queued, rest.since = queued, now
        if rest.data:
            return False
        self.forget(connection)
        return True

    def since(self, connection: Connection, queued: int, now: float) -> float:
        """Since when it is not known to have made progress, where `queued` bytes wait in the kernel now."""
        rest = self._rests[connection]
        if queued < rest.queued:
            rest.queued, rest.since = queued, now
        return rest.since

    def holdings(self) -> Iterator[tuple[Connection, int]]:
        """Those whose writes are unfinished, each with the bytes that it holds."""
        return ((connection, UNSENT_BYTES + len(rest.data)) for connection, rest in self._rests.items())

    def forget(self, connection: Connection) -> None:
        """Drop what waits for a connection, if anything does."""
        rest = self._rests.pop(connection, None)
        if rest is not None:
            self._kept.give(UNSENT_BYTES + len(rest.data))
