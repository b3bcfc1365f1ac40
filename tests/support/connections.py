"""Parked connections without a socket, and accounts by shard."""

from __future__ import annotations

from tidings.gateway.model.connection import CLOSED, Connection
from tidings.gateway.model.held import Held
from tidings.gateway.resume.history import Seeker
from tidings.ops.budget import Budget
from tidings.wire.cursor import Position
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


def seeker_of(since: Position, *accounts: str, types: frozenset[str] | None = None, held: Held | None = None) -> Seeker:
    """What a client with a cursor asks of the log."""
    names = accounts or ("alice",)
    return Seeker(connection_of(*names), names, types, since, {}, held or Held(Budget().account("resumes"), 0))
