"""Which connections are closed when memory is critical: those that make the process hold most. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tidings.gateway.model.connection import Connection

LEAST_BYTES: Final = 1_024
"""Closing a connection that holds less gains nothing: the client comes back, and its coming costs more."""
MOST_AT_ONCE: Final = 1_000
"""Connections closed by one call, which takes milliseconds."""

Holdings = Callable[[], Iterable[tuple[Connection, int]]]
"""Connections with the bytes that are held for each, one of several kinds of bytes."""


def dearest(holdings: Iterable[Holdings], size: int) -> list[tuple[Connection, int]]:
    """Connections that hold `size` bytes together or a little more, those that hold most first."""
    held: Counter[Connection] = Counter()
    for kind in holdings:
        for connection, count in kind():
            held[connection] += count
    found: list[tuple[Connection, int]] = []
    for connection, count in held.most_common(MOST_AT_ONCE):
        if size <= 0 or count < LEAST_BYTES:
            break
        found.append((connection, count))
        size -= count
    return found


class Shedding:
    """Closes the dearest connections. Their clients come back with their cursors."""

    def __init__(self, holdings: Sequence[Holdings], close: Callable[[Connection], None]) -> None:
        self._holdings = holdings
        self._close = close

    def give_up(self, size: int) -> int:
        """Close connections that hold `size` bytes together; how many bytes they held."""
        given_up = 0
        for connection, count in dearest(self._holdings, size):
            self._close(connection)
            given_up += count
        return given_up
