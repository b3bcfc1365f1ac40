"""What a connection finds at its accept: room, or somebody who has to go for it.

Whoever is sent away has shown no token. What it has sent by then is read first: a head that is whole in the kernel's
buffer is not dropped for somebody else's that never will be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Final

from tidings.gateway.limits import address
from tidings.gateway.limits.address import Network
from tidings.gateway.limits.admission import Admission
from tidings.gateway.limits.lobby import PLACE_BYTES, Lobby
from tidings.gateway.model.connection import CLOSED, Connection
from tidings.gateway.net.reactor import Reactor

SHED_SHARE: Final = 16
"""Room is made for more than one at once, a part of all that there is: to find out who has to go takes a while."""
FILES_AT_ONCE: Final = 64
REASONS: Final = ("address", "memory", "files")
KNOWN_ADDRESSES: Final = 1024
"""Addresses that are read once for many connections."""


class Arrivals:
    """Counts connections from their accept on: for the lobby, for their address, and for the process's files."""

    def __init__(self, reactor: Reactor, lobby: Lobby, admission: Admission, trusted: Sequence[Network]) -> None:
        self.shed = dict.fromkeys(REASONS, 0)
        """How many were sent away without an answer, by what there was no room for."""
        self._reactor = reactor
        self._lobby = lobby
        self._admission = admission
        self._elsewhere: Counter[str] = Counter()
        """Connections that were handed over, by address, while addresses have a cap."""
        self._shedding = False
        # A trusted proxy has no share and no cap: its clients have theirs once they are known.
        self._peer = lru_cache(KNOWN_ADDRESSES)(lambda peer: (address.counted(peer), address.is_trusted(peer, trusted)))

    def accepted(self, connection: Connection, peer: str) -> None:
        """Find a place for a connection from this address, or close it."""
        source, trusted = self._peer(peer)
        if not trusted and not self._admission.has_room(source, self._lobby.count(source) + self._elsewhere[source]):
            oldest = self._lobby.oldest(source)
            if oldest is None:
                self._close(connection, "address")
                return
            self._send_away((oldest,), "address", connection)
        if not self._lobby.enter(connection, source, bounded=not trusted):
            self._send_away(self._lobby.dearest(self._lobby.limit // SHED_SHARE), "memory", connection)
            if not self._lobby.enter(connection, source, bounded=not trusted):
                self._close(connection, "memory")
                return
        self._send_away(self._lobby.surplus(connection), "address", connection)

    def keeps(self, connection: Connection, size: int) -> bool:
        """Whether so many more bytes of what a connection here has said may be kept; they are counted then."""
        if not self._lobby.keep(connection, size):
            self._send_away(self._lobby.dearest(max(size, self._lobby.limit // SHED_SHARE)), "memory", connection)
            if not self._lobby.keep(connection, size):
                return False
        self._send_away(self._lobby.surplus(connection), "address", connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._lobby.leave(connection)

    def find_files(self) -> bool:
        """Send some away whose files are needed, half of all at the most; False where nobody went."""
        before = self.shed["files"]
        some = min(FILES_AT_ONCE, len(self._lobby) // 2)
        self._send_away(self._lobby.dearest(some * PLACE_BYTES), "files", None)
        return self.shed["files"] > before

    def handed_over(self, connection: Connection) -> Callable[[], None]:
        """A connection leaves for the HTTP application; what is given is to be called when it has ended."""
        source = self._lobby.leave(connection)
        if not self._admission.wants_address:
            return lambda: None
        self._elsewhere[source] += 1

        def ended() -> None:
            self._elsewhere[source] -= 1
            if not self._elsewhere[source]:
                del self._elsewhere[source]

        return ended

    def _send_away(self, connections: Collection[Connection], reason: str, newcomer: Connection | None) -> None:
        """Close these, but not whom it is done for, who may yet be told that there is no room."""
        if not connections or self._shedding:
            # What one of them has said is looked at just now, and is no reason to send away others.
            return
        self._shedding = True
        for connection in connections:
            handler = connection.handler
            if connection is newcomer or handler is CLOSED:
                continue
            self._reactor.read_unread(connection)
            # What came may have been the rest of its head: then something else handles it by now.
            if connection.handler is handler:
                self._close(connection, reason)
        self._shedding = False

    def _close(self, connection: Connection, reason: str) -> None:
        self.shed[reason] += 1
        self._reactor.close(connection, "shed")
