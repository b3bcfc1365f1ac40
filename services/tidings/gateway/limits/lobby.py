"""Who is connected and not parked: heads that are not whole, tokens under verification, goodbyes under way. Pure.

Such a connection has shown no token, so it is counted from its accept on, in bytes and by address. When there is no
room, the oldest connection of the address that holds most is the first to go: whoever connects now gets in.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import Final

from tidings.gateway.model.connection import Connection
from tidings.ops.budget import Account

PLACE_BYTES: Final = 1024
"""What a connection counts that has said nothing: its objects here, and a part of its socket in the kernel."""
MAX_BYTES: Final = 16 * 1024 * 1024
LEAST_PLACES: Final = 256
ADDRESS_SHARE: Final = 4
"""One address may hold the fourth part of what the lobby has room for."""


def lobby_bytes(parked: int) -> int:
    """The room for those who are not parked, where so many may be parked: no more of them, but a few in any case."""
    return min(MAX_BYTES, max(parked, LEAST_PLACES) * PLACE_BYTES)


class _Group:
    """The connections of one address, the oldest first, with the bytes that are kept of what each has said."""

    __slots__ = ("bounded", "held", "said")

    def __init__(self, *, bounded: bool) -> None:
        self.bounded = bounded
        self.said: dict[Connection, int] = {}
        self.held = 0


class Lobby:
    """Counts them in an account, which nobody else uses."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._address_of: dict[Connection, str] = {}
        self._groups: dict[str, _Group] = {}

    def __len__(self) -> int:
        return len(self._address_of)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._address_of

    @property
    def limit(self) -> int:
        """The bytes that all of them may hold together."""
        return self._account.limit

    def count(self, address: str) -> int:
        """How many connections of an address are here."""
        group = self._groups.get(address)
        return 0 if group is None else len(group.said)

    def oldest(self, address: str) -> Connection | None:
        """The connection of an address that has been here for longest."""
        group = self._groups.get(address)
        return None if group is None else next(iter(group.said))

    def enter(self, connection: Connection, address: str, *, bounded: bool = True) -> bool:
        """Take in a connection that was accepted just now; False, and it is not here, where there is no room.

        `bounded` says whether its address has a share, beyond which it is among the surplus.
        """
        if not self._account.take(PLACE_BYTES):
            return False
        self._place(connection, address, bounded=bounded)
        return True

    def stay(self, connection: Connection, address: str) -> None:
        """Count a connection that takes its leave, and nothing that it has said.

        It may have been here, or parked until now: it has a socket in any case, so it is not refused.
        """
        if connection in self._address_of:
            self._drop(connection)
        else:
            self._account.add(PLACE_BYTES)
            self._place(connection, address, bounded=bool(address))

    def keep(self, connection: Connection, size: int) -> bool:
        """Count `size` more bytes that a connection here has said; False, and nothing counted, without room."""
        if not self._account.take(size):
            return False
        group = self._groups[self._address_of[connection]]
        group.said[connection] += size
        group.held += size
        return True

    def leave(self, connection: Connection) -> str:
        """Forget a connection; the address that it counted for, "" where it is not here."""
        address = self._address_of.pop(connection, None)
        if address is None:
            return ""
        group = self._groups[address]
        held = PLACE_BYTES + group.said.pop(connection)
        group.held -= held
        if not group.said:
            del self._groups[address]
        self._account.give(held)
        return address

    def surplus(self, connection: Connection) -> list[Connection]:
        """Of the address that a connection here has, the oldest ones, so many that the others are within its share."""
        group = self._groups[self._address_of[connection]]
        over = group.held - self._account.limit // ADDRESS_SHARE
        found: list[Connection] = []
        if over <= 0 or not group.bounded:
            return found
        members = iter(group.said.items())
        while over > 0:
            oldest, said = next(members)
            found.append(oldest)
            over -= PLACE_BYTES + said
        return found

    def dearest(self, size: int) -> list[Connection]:
        """The oldest connections of whoever holds most, so many that they hold `size` bytes, or all."""
        # Of several that hold the same, the one that has been here for longest is first.
        ranked = [(-group.held, age, iter(group.said.items())) for age, group in enumerate(self._groups.values())]
        heapify(ranked)
        found: list[Connection] = []
        while size > 0 and ranked:
            held, age, members = ranked[0]
            connection, said = next(members, (None, 0))
            if connection is None:
                heappop(ranked)
                continue
            found.append(connection)
            size -= PLACE_BYTES + said
            heapreplace(ranked, (held + PLACE_BYTES + said, age, members))
        return found

    def holdings(self) -> Iterator[tuple[Connection, int]]:
        """Those who are here, each with the bytes that it holds."""
        for group in self._groups.values():
            for connection, said in group.said.items():
                yield connection, PLACE_BYTES + said

    def _place(self, connection: Connection, address: str, *, bounded: bool) -> None:
        group = self._groups.get(address)
        if group is None:
            group = self._groups[address] = _Group(bounded=bounded)
        self._address_of[connection] = address
        group.said[connection] = 0
        group.held += PLACE_BYTES

    def _drop(self, connection: Connection) -> None:
        group = self._groups[self._address_of[connection]]
        said, group.said[connection] = group.said[connection], 0
        group.held -= said
        self._account.give(said)
