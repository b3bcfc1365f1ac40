"""How far each shard has been told, as the cursor that goes into a frame. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tidings.wire import cursor
from tidings.wire.shard import shard_of


class Positions:
    """The last position of each shard, encoded once for all the frames that carry it."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._entries: dict[int, bytes] = {}
        self._cursors: dict[int, str] = {}
        """By shard, the cursor of those who have accounts in no other: they are the most."""

    def place(self, shard: int, entry: bytes) -> None:
        """Move a shard's position, given as its part of a cursor."""
        self._entries[shard] = entry
        self._cursors.pop(shard, None)

    def cursor(self, accounts: Collection[str], newer: Mapping[int, bytes]) -> str:
        """The cursor of these accounts, with the entries that `newer` has in place of those kept."""
        if len(accounts) == 1:
            (account,) = accounts
            shard = shard_of(account, self._shards)
            if entry := newer.get(shard):
                return cursor.join(self._shards, entry)
            found = self._cursors.get(shard)
            if found is None:
                found = self._cursors[shard] = cursor.join(self._shards, self._entries.get(shard, b""))
            return found
        shards = sorted({shard_of(account, self._shards) for account in accounts})
        entries = b"".join(newer.get(shard) or self._entries.get(shard, b"") for shard in shards)
        return cursor.join(self._shards, entries)
