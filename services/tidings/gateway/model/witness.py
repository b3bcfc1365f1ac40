"""Who is told of a connection's life, and is not known to whoever tells. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tidings.gateway.model.changes import Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import Pending


class PushWitness(Protocol):
    """Told of who was told: the hub's part of a connection's life."""

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        """These were told at `now` of what had waited for them."""

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        """Each of these, of one account each, was told at `now` of its own change, all consumed at the same time."""

    def merged(self, connection: Connection, account: str, count: int) -> None:
        """For `count` clients of an account, this one of them, a change was merged into one that waited."""


class Witness(PushWitness, Protocol):
    """Told of a connection's life, from its accept to its end. Times are monotonic seconds."""

    def accepted(self, connection: Connection, now: float) -> None:
        """A connection is there."""

    def reached(self, connection: Connection, stage: str) -> None:
        """It has come so far: its head is whole, it is authenticated, it is parked."""

    def routed(self, connection: Connection, path: str) -> None:
        """Its request is for one of our own paths."""

    def handed_over(self, connection: Connection) -> None:
        """The HTTP application serves it from now on: nothing more is told of it."""

    def rejected(self, connection: Connection, path: str, status: int, reason: str) -> None:
        """Its request was answered with an error; `moment` is its accept. `reason` is a metric label."""

    def subscribed(self, connection: Connection) -> None:
        """It is told of changes from now on."""

    def resumed(self, connection: Connection, outcome: str) -> None:
        """From here on it misses nothing; `outcome` says how that came about, and is one of few."""

    def closed(self, connection: Connection, reason: str, wire_format: str = "") -> None:
        """It is gone, or told to go; `reason` is a metric label. `wire_format` is that of one that was parked."""
