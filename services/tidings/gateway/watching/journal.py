"""The journal: what lately happened to whom, for whoever asks why a client was not told. Pure.

Notes lie in columns that are filled round and round: 32 bytes each, no object of their own, and nothing per connection.
What is older than a column is long is forgotten, whoever it was about. Columns grow to their length by blocks: what has
just started, or is never busy, has no use for all of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar, cast

from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import Pending

MAX_PUSHES: Final = 65_536
MAX_MERGES: Final = 16_384
MAX_EVENTS: Final = 16_384
BLOCK: Final = 4_096
"""The lengths of columns are multiples of it."""
MAX_NAMED: Final = 8
"""Of more that are told the same at once only the number is noted."""
CLOSED: Final = "closed: "
"""What the notes of ends begin with."""

What = TypeVar("What")


class Note(NamedTuple, Generic[What]):
    """What happened, and when, in monotonic seconds. `which` identifies a connection while it lives.

    0: not noted, because there were many, or because it was the only one that the account had.
    """

    at: float
    what: What
    which: int


class Ring(Generic[What]):
    """The last `size` notes. The first ones are of nobody, from `now`."""

    def __init__(self, size: int, now: float, nothing: What) -> None:
        self._size = size
        self._began = now
        self._nothing = nothing
        self._next = 0
        self._at = array("d")
        self._whose: list[str] = []
        self._what: list[What] = []
        self._which = array("Q")
        self._grow()

    def _grow(self) -> None:
        block = min(BLOCK, self._size - len(self._at))
        self._at.extend((self._began,) * block)
        self._whose.extend(("",) * block)
        self._what.extend((self._nothing,) * block)
        self._which.extend((0,) * block)
        self._length = len(self._at)

    def _past_the_end(self) -> int:
        """Where the note after the last of the columns goes."""
        if self._length == self._size:
            return 0
        end = self._length
        self._grow()
        return end

    @property
    def since(self) -> float:
        """From when on everything is here."""
        return self._at[self._next]

    def note(self, at: float, account: str, what: What, which: int = 0) -> None:
        """Write down one thing, over the oldest."""
        index = self._next
        self._at[index] = at
        self._whose[index] = account
        self._what[index] = what
        self._which[index] = which
        index += 1
        self._next = index if index < self._length else self._past_the_end()

    def note_each(self, at: float, accounts: Sequence[str], what: What) -> None:
        """The same thing of each account."""
        start, count = self._next, len(accounts)
        end = start + count
        if end > self._length:
            for account in accounts:
                self.note(at, account, what)
            return
        self._at[start:end] = array("d", (at,)) * count
        self._whose[start:end] = accounts
        self._what[start:end] = [what] * count
        self._which[start:end] = array("Q", (0,)) * count
        self._next = end if end < self._length else self._past_the_end()

    def of(self, account: str) -> list[Note[What]]:
        """What is known of an account, the oldest first; the search is one pass in C over the names."""
        found: list[int] = []
        try:
            while True:
                found.append(self._whose.index(account, found[-1] + 1 if found else 0))
        except ValueError:
            found.sort(key=lambda index: (index - self._next) % self._size)
        return [Note(self._at[index], self._what[index], self._which[index]) for index in found]


class Journal:
    """Notes pushes, merges and what becomes of connections; see Witness for what it is told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        now = clock()
        self.pushes: Ring[int] = Ring(MAX_PUSHES, now, 0)
        """To how many connections."""
        self.merges: Ring[int] = Ring(MAX_MERGES, now, 0)
        """For how many connections a change was merged into one that waited."""
        self.events: Ring[str] = Ring(MAX_EVENTS, now, "")
        """Resumes with their outcome, ends with their reason."""
        self._clock = clock
        self._ends: dict[tuple[str, str], str] = {}

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        count = len(connections)
        for name in pending.changed:
            account = _kept(connections[0], name)
            if count > MAX_NAMED:
                self.pushes.note(now, account, count)
                continue
            for connection in connections:
                self.pushes.note(now, account, 1, id(connection))

    def written_each(self, connections: Sequence[Connection], now: float) -> None:
        """Each of these, of one account each, was told at `now` of its own change."""
        accounts = cast("list[str]", [connection.accounts for connection in connections])
        if len(accounts) == 1:
            self.pushes.note(now, accounts[0], 1, id(connections[0]))
        else:
            self.pushes.note_each(now, accounts, 1)

    def merged(self, connection: Connection, account: str, count: int) -> None:
        self.merges.note(self._clock(), _kept(connection, account), count)

    def resumed(self, connection: Connection, outcome: str) -> None:
        """A connection is told of changes from now on; `outcome` is one of few."""
        self._note(connection, outcome)

    def closed(self, connection: Connection, wire_format: str, reason: str) -> None:
        """A connection is gone, or told to go."""
        key = (wire_format, reason)
        what = self._ends.get(key)
        if what is None:
            what = self._ends[key] = f"{CLOSED}{reason} ({wire_format})"
        self._note(connection, what)

    def _note(self, connection: Connection, what: str) -> None:
        now = self._clock()
        for account in connection.account_names():
            self.events.note(now, account, what, id(connection))


def _kept(connection: Connection, account: str) -> str:
    """The string that a connection has anyway, rather than one that came with a change and would be kept for this.

    A connection that the write has found gone has none any more.
    """
    accounts = connection.accounts
    return accounts if accounts and isinstance(accounts, str) else account
