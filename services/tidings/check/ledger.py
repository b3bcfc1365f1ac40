"""What was told to the publisher, and what clients were told since. Pure: whoever notes something says when.

Times are in seconds on one monotonic clock. Changes of an account are numbered from 1; the number is in the state that
the change gives each of its data types, so what a client is told says up to where it knows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple

TYPES: Final = ("Email", "Mailbox", "Thread")
"""The data types that changes are told of, and that a resynchronisation names for a client that asked for all."""
RESYNC: Final = "resync-"
"""How a state begins that says only: fetch again."""


class Key(NamedTuple):
    """What has one state at a time."""

    account: str
    data_type: str


class Arrival(StrEnum):
    """In which frame something was told."""

    FIRST = "first"
    """The answer to a subscription without a cursor: the client fetches everything."""
    RETURN = "return"
    """The answer to one with a cursor."""
    LIVE = "live"
    """Any later frame."""


@dataclass(slots=True)
class Change:
    """A change that was told to the publisher. `acknowledged` is when that answered 202, None for not yet."""

    account: str
    number: int
    types: tuple[str, ...]
    sent: float
    acknowledged: float | None = None
    attempts: int = 0


@dataclass(slots=True)
class Knowledge:
    """What one client knows of one account and data type.

    `last` is the number it was told last, at `told`; `known` the highest that it knows of, for having been told it or a
    later one, or for having fetched everything since; `fetched` is when it did that.
    """

    known: int = 0
    last: int = 0
    told: float = -inf
    fetched: float = -inf


@dataclass(slots=True)
class Counts:
    """What the report adds up."""

    pushed: int = 0
    replayed: int = 0
    coalesced: int = 0
    resyncs: Counter[Arrival] = field(default_factory=Counter)
    worst_seconds: float = 0.0


class Client:
    """A client's knowledge. `since` is when it last came back from an absence of its own will."""

    def __init__(self, accounts: Sequence[str], types: Iterable[str], since: float) -> None:
        self.accounts = tuple(accounts)
        self.since = since
        self.knowledge = {Key(account, name): Knowledge() for account in accounts for name in types}


class Ledger:
    """The changes of one run. States are `RUN.NUMBER`; others, but for resynchronisations, are somebody else's."""

    def __init__(self, run: str) -> None:
        self.counts = Counts()
        self.changes: dict[str, list[Change]] = {}
        self.histories: dict[Key, list[Change]] = {}
        self.clients: list[Client] = []
        self._prefix = f"{run}."

    def client(self, accounts: Sequence[str], types: Iterable[str], now: float) -> Client:
        """A client that is told of these accounts and data types."""
        client = Client(accounts, types, now)
        self.clients.append(client)
        return client

    def send(self, account: str, types: tuple[str, ...], now: float) -> tuple[Change, dict[str, str]]:
        """A new change, about to be sent for the first time, and the states that it gives."""
        mine = self.changes.setdefault(account, [])
        change = Change(account, len(mine) + 1, types, now)
        mine.append(change)
        for name in types:
            self.histories.setdefault(Key(account, name), []).append(change)
        return change, dict.fromkeys(types, f"{self._prefix}{change.number}")

    def number(self, state: str) -> int | None:
        """The number of the change that gave a state; None for one that is not of this run."""
        prefix, _, number = state.rpartition(".")
        return int(number) if f"{prefix}." == self._prefix and number.isdecimal() else None

    def told(self, client: Client, changed: Mapping[str, Mapping[str, str]], arrival: Arrival, now: float) -> None:
        """A client was told this in one frame."""
        if arrival is Arrival.FIRST:
            for key, knowledge in client.knowledge.items():
                self._fetch(key, knowledge, now)
            return
        fetches = learns = False
        for account, states in changed.items():
            for name, state in states.items():
                key = Key(account, name)
                if key not in client.knowledge:
                    continue
                knowledge = client.knowledge[key]
                number = self.number(state)
                if number is not None:
                    self._learn(client, key, knowledge, number, now)
                    learns = True
                elif state.startswith(RESYNC):
                    self._observe(client, self._unknown(key, knowledge), now)
                    self._fetch(key, knowledge, now)
                    fetches = True
        self.counts.resyncs[arrival] += fetches
        if learns:
            if arrival is Arrival.LIVE:
                self.counts.pushed += 1
            else:
                self.counts.replayed += 1

    def _fetch(self, key: Key, knowledge: Knowledge, now: float) -> None:
        # What is on its way to the publisher is in the storage already.
        history = self.histories.get(key, ())
        knowledge.known = max(knowledge.known, history[-1].number if history else 0)
        knowledge.fetched = now

    def _learn(self, client: Client, key: Key, knowledge: Knowledge, number: int, now: float) -> None:
        knowledge.last, knowledge.told = number, now
        news = [change for change in self._unknown(key, knowledge) if change.number <= number]
        if news:
            self._observe(client, news, now)
            self.counts.coalesced += len(news) - 1
            knowledge.known = number

    def _unknown(self, key: Key, knowledge: Knowledge) -> Sequence[Change]:
        history = self.histories.get(key, [])
        return history[bisect_right(history, knowledge.known, key=lambda change: change.number) :]

    def _observe(self, client: Client, news: Sequence[Change], now: float) -> None:
        for change in news:
            if change.acknowledged is not None:
                waited = now - max(change.acknowledged, client.since)
                self.counts.worst_seconds = max(self.counts.worst_seconds, waited)
                # The later ones have waited for less.
                return

    def unlearnt(self) -> int:
        """How many times a client does not know of an acknowledged change that is an account's and type's last."""
        return sum(
            any(change.acknowledged is not None for change in self._unknown(key, knowledge))
            for client in self.clients
            for key, knowledge in client.knowledge.items()
        )
