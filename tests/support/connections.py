"""Parked connections without a socket, and accounts by shard."""

from __future__ import annotations

from tidings.gateway.connection import CLOSED, Connection
from tidings.wire.shard import shard_of


def connection_of(*accounts: str) -> Connection:
    """A connection for these accounts."""
    made = Connection(-1, CLOSED)
    made.set_accounts(accounts)
    return made


def accounts_of(shard: int, shards: int) -> list[str]:
    """Two accounts of a shard."""
    names = (f"user{number}" for number in range(1000))
    return [name for name in names if shard_of(name, shards) == shard][:2]
