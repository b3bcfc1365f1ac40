"""The roster: who is connected for which account. Pure."""

from __future__ import annotations

from collections.abc import Collection

from tidings.gateway.model.connection import Connection
from tidings.wire.shard import shard_of


class Roster:
    """Connections by account: one as itself, only several in a table of their own."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._by_account: dict[str, Connection | dict[Connection, None]] = {}
        self.find = self._by_account.get
        """What the fan-out asks for each change: nobody (None), a connection, or a table of several."""

    def add(self, connection: Connection) -> None:
        """Enter a connection under each of its accounts, once."""
        for account in connection.account_names():
            found = self._by_account.get(account)
            if found is None:
                self._by_account[account] = connection
            elif isinstance(found, dict):
                found[connection] = None
            elif found is not connection:
                self._by_account[account] = {found: None, connection: None}

    def remove(self, connection: Connection) -> None:
        """Strike a connection off, if it is there."""
        for account in connection.account_names():
            found = self._by_account.get(account)
            if found is connection:
                del self._by_account[account]
            elif isinstance(found, dict):
                found.pop(connection, None)
                if not found:
                    del self._by_account[account]

    def connections(self, account: str) -> Collection[Connection]:
        """The connections of an account."""
        found = self._by_account.get(account, {})
        return found if isinstance(found, dict) else (found,)

    def accounts(self, shard: int) -> list[str]:
        """The accounts of a shard that somebody is connected for."""
        return [account for account in self._by_account if shard_of(account, self._shards) == shard]
