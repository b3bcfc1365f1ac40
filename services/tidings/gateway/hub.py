"""The hub: who is told of a change, now or coalesced, and with which cursor. Pure.

The cursor rule: a cursor covers only changes that were matched to this connection and are in this or an earlier
frame. It holds because (1) a shard's position moves only when every change of the batch was written or merged into
`pending`, (2) a frame that is not its connection's last of the batch carries the position before the batch, and
(3) a flush tells everything pending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

from tidings.gateway.connection import NOTHING, Connection, Ends, Form, Pending, resync
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

MAX_PENDING_TYPES: Final = 128
"""Data types per account that wait for one client; beyond that it is told to resynchronise the account."""
CHUNK: Final = 64
"""Writes between two looks at the clock."""
CLOCK_SLACK: Final = 1e-6
"""Seconds; a sum of times is not exactly what it is compared with."""

Changed = Mapping[str, Mapping[str, str]]


class Told(NamedTuple):
    """A change with its states filled in. `changed_at` is on the monotonic clock in seconds, or None."""

    account: str
    changed: Mapping[str, str]
    changed_at: float | None


class Sink(Protocol):
    """Where frames go."""

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        """Write to each. One that cannot take all of it now is blocked until the hub hears `unblocked`."""

    def send_each(self, connections: Sequence[Connection], frames: Sequence[bytes]) -> None:
        """Write to each its own frame, in the same way."""

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        """End connections that have been told what they wait for: something that changed, or that nothing did."""

    def is_blocked(self, connection: Connection) -> bool:
        """Whether an earlier write to it is unfinished."""

    def defer(self) -> None:
        """See to it that `drain` is called soon."""

    def cool(self, due: float) -> None:
        """See to it that `expire` is called at `due`, in the hub's clock."""


class Observer(Protocol):
    """Told of latencies."""

    def written(self, count: int, now: float, consumed: float, changed_at: float | None) -> None:
        """`count` clients were told at `now` of something consumed and changed at these times."""

    def written_each(self, now: float, consumed: float, changed_at: Sequence[float | None]) -> None:
        """As many clients were told at `now`, each of something else that changed at its time."""


@dataclass(slots=True)
class HubCounters:
    """Plain ints, read by the metrics collector."""

    matched: int = 0
    pushed: int = 0
    coalesced: int = 0
    overflowed: int = 0


class _Message(NamedTuple):
    """What `form` makes of `pending`, encoded."""

    form: Form
    pending: Pending
    frame: bytes


class _Rest:
    """Those whom a call had no time left for, and the message that tells all of them what they waited for then."""

    __slots__ = ("_connections", "_taken", "message")

    def __init__(self, connections: list[Connection], message: _Message | None) -> None:
        self._connections = connections
        self._taken = 0
        self.message = message

    def take(self, count: int) -> tuple[list[Connection], bool]:
        """The next so many, and whether these were the last."""
        start, self._taken = self._taken, self._taken + count
        return self._connections[start : self._taken], self._taken >= len(self._connections)


class _Singles:
    """The usual case: one idle connection of one account, told of the last change of that account in a batch.

    All of them get the same cursor, that of their shard after the batch, and need no groups.
    """

    __slots__ = ("_cursor", "connections", "consumed", "frames", "told")

    def __init__(self, after: str, consumed: float) -> None:
        self._cursor = after
        self.consumed = consumed
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.connections: list[Connection] = []
        self.frames: list[bytes] = []
        self.told: list[Told] = []

    def take(self, connection: Connection, change: Told) -> bool:
        """Encode the change for it, unless it is none of these."""
        form = connection.form
        if connection.pending is not None or form is None or form.ends is not _NEVER:
            return False
        if connection.accounts.__class__ is not str:
            return False
        changed = change.changed if form.types is None else _wanted(change.changed, form)
        if not changed:
            return False
        self.connections.append(connection)
        self.frames.append(form.encode({change.account: changed}, self._cursor))
        self.told.append(change)
        return True


_NEVER: Final = Ends.NEVER
_Merges = dict[tuple[int, Form], tuple[Pending, Pending, bool]]
"""What waits, by identity and form, to itself (which keeps the identity valid), what it becomes, and whether that was
too much: a crowd that waits for the same shares one object, and one merge."""


class Hub:
    """Connections by account, and what each is still to be told.

    `interval` is the coalescing interval in seconds (0: every change by itself), `budget` the seconds one call may
    write before the rest waits for `drain`, `unknown_state` gives states that no client has seen.
    """

    def __init__(
        self,
        *,
        shards: int,
        interval: float,
        budget: float,
        sink: Sink,
        observer: Observer,
        clock: Callable[[], float],
        unknown_state: Callable[[], str],
    ) -> None:
        self.counters = HubCounters()
        self._shards = shards
        self._interval = interval
        self._budget = budget
        self._sink = sink
        self._observer = observer
        self._clock = clock
        self._unknown_state = unknown_state
        self._by_account: dict[str, Connection | dict[Connection, None]] = {}
        self._entries: dict[int, bytes] = {}
        self._cooling: deque[tuple[float, list[list[Connection]]]] = deque()
        self._backlog: deque[_Rest] = deque()
        self._resuming: set[Connection] = set()

    def add(self, connection: Connection, form: Form) -> None:
        """Match changes to this connection from now on; they wait until it has been resumed.

        One that is there already gets another form; what waits for it still does, as far as the form wants it.
        """
        pending = connection.pending or NOTHING
        kept = {account: _wanted(states, form) for account, states in pending.changed.items()}
        connection.pending = pending._replace(changed={account: states for account, states in kept.items() if states})
        connection.form = form
        self._resuming.add(connection)
        for account in connection.account_names():
            found = self._by_account.get(account)
            if found is None:
                self._by_account[account] = connection
            elif isinstance(found, dict):
                found[connection] = None
            elif found is not connection:
                self._by_account[account] = {found: None, connection: None}

    def remove(self, connection: Connection) -> None:
        """Forget a connection, and what waits for it."""
        self._resuming.discard(connection)
        connection.pending = None
        connection.form = None
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

    def resume(self, connection: Connection, missed: Changed) -> None:
        """End a resume: tell what was missed and what came meanwhile in one frame, with the present cursor.

        To a client that its form greets, a frame goes out even when that is nothing: it says from which cursor on
        nothing is missed.
        """
        self._resuming.discard(connection)
        pending = connection.pending or NOTHING
        merged = {account: {**states, **pending.changed.get(account, {})} for account, states in missed.items()}
        # How long ago the missed was consumed says nothing about us: it waited for the client.
        consumed = pending.consumed if pending.changed else self._clock()
        connection.pending = Pending({**pending.changed, **merged}, consumed, pending.changed_at)
        form = connection.form
        self._flush([connection], only_changes=form is not None and not form.greets)
        if self._sink.is_blocked(connection):
            self.blocked(connection)

    def refresh(self, connection: Connection) -> bool:
        """Tell a connection that nothing happened, with a fresh cursor; False while anything waits for it."""
        if connection.form is None or connection.pending is not None:
            return False
        connection.pending = NOTHING
        self._flush([connection])
        return True

    def place(self, shard: int, position: Position) -> None:
        """Set a shard's position where there is no change to tell: a marker, or a feed that went live."""
        self._entries[shard] = cursor.encode_entry(shard, position)

    def resync(self, accounts: Iterable[str]) -> None:
        """Tell everybody connected for these accounts to resynchronise them."""
        told: list[Connection] = []
        now = self._clock()
        for account in accounts:
            state = self._unknown_state()
            merges: _Merges = {}
            for connection in self.connections(account):
                if connection.pending is None:
                    told.append(connection)
                # Whoever is in the table has subscribed, and so has a form.
                form = cast("Form", connection.form)
                pending = connection.pending or NOTHING
                merge = merges.get((id(pending), form))
                if merge is None:
                    merged = _merge(pending, resync(form, account, state), now, None)
                    merge = merges[id(pending), form] = (pending, merged, False)
                connection.pending = merge[1]
        self._later(told)

    def publish(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """Tell everybody of a batch's changes, in log order, then move the shard's position.

        Not to be called again, nor `drain` or `expire`, before it has returned.
        """
        deadline = self._clock() + self._budget
        entry = cursor.encode_entry(shard, position)
        if self._interval == 0:
            # Each by itself while there is time for it: a batch can hold a thousand changes of a crowded account.
            changes = changes[self._tell_each(changes, {shard: entry}, consumed, deadline, hurry=True) :]
        if changes:
            merged = _merge_told(changes) if len(changes) > 1 else changes
            self._tell_each(merged, {shard: entry}, consumed, deadline, hurry=False)
        self._entries[shard] = entry

    def _tell_each(
        self, changes: Sequence[Told], entry: Mapping[int, bytes], consumed: float, deadline: float, *, hurry: bool
    ) -> int:
        """Tell of one change after the other; of how many, since in a `hurry` it ends with the deadline."""
        last = {change.account: index for index, change in enumerate(changes)}
        find = self._by_account.get
        (moved,) = entry.values()
        singles = _Singles(cursor.join(self._shards, moved), consumed)
        late = False
        for index, change in enumerate(changes):
            if late:
                self._tell_singles(singles, deadline)
                return index
            found = find(change.account)
            if found is None:
                continue
            if found.__class__ is Connection and last[change.account] == index and singles.take(found, change):
                if len(singles.connections) == CHUNK:
                    self._tell_singles(singles, deadline)
                    late = hurry and self._clock() >= deadline
                continue
            for (form, accounts), group in self._match(found, change, consumed).items():
                if not group:
                    continue
                changed = {change.account: _wanted(change.changed, form)}
                final = all(last.get(account, -1) <= index for account in accounts)
                frame = form.encode(changed, self._cursor(accounts, entry if final else {}))
                message = _Message(form, Pending(changed, consumed, change.changed_at), frame)
                self._tell(group, message, deadline)
            late = hurry and self._clock() >= deadline
        self._tell_singles(singles, deadline)
        return len(changes)

    def _tell_singles(self, singles: _Singles, deadline: float) -> None:
        connections, told = singles.connections, singles.told
        now = self._clock()
        if now >= deadline:
            for connection, change in zip(connections, told, strict=True):
                form = cast("Form", connection.form)
                changed = {change.account: _wanted(change.changed, form)}
                connection.pending = Pending(changed, singles.consumed, change.changed_at)
            self._later(connections)
        elif connections:
            self._sink.send_each(connections, singles.frames)
            self._observer.written_each(self._clock(), singles.consumed, [change.changed_at for change in told])
            self.counters.pushed += len(connections)
            self._cool(connections, now)
        self.counters.matched += len(connections)
        singles.clear()

    def _match(
        self, found: Connection | dict[Connection, None], change: Told, consumed: float
    ) -> dict[tuple[Form, tuple[str, ...]], list[Connection]]:
        """Merge the change into what waits; give those that can be told now, by what they are told."""
        groups: dict[tuple[Form, tuple[str, ...]], list[Connection]] = {}
        merges: _Merges = {}
        single = (change.account,)
        last: Form | None = None
        ready: list[Connection] | None = None
        matched = coalesced = 0
        for connection in found if isinstance(found, dict) else (found,):
            form = connection.form
            if form is not last:
                last = form
                wanted = form is not None and (form.types is None or not form.types.isdisjoint(change.changed))
                ready = groups.setdefault((form, single), []) if form is not None and wanted else None
            if ready is None or form is None:
                continue
            pending = connection.pending
            if pending is not None:
                merge = merges.get((id(pending), form))
                if merge is None:
                    merge = merges[id(pending), form] = self._coalesce(pending, form, change, consumed)
                _, connection.pending, overflowed = merge
                coalesced += bool(pending.changed)
                self.counters.overflowed += overflowed
            elif connection.accounts.__class__ is str:
                ready.append(connection)
            else:
                groups.setdefault((form, connection.account_names()), []).append(connection)
            matched += 1
        self.counters.matched += matched
        self.counters.coalesced += coalesced
        return groups

    def _coalesce(self, pending: Pending, form: Form, change: Told, consumed: float) -> tuple[Pending, Pending, bool]:
        changed: Changed = {change.account: _wanted(change.changed, form)}
        merged = _merge(pending, changed, consumed, change.changed_at)
        overflowed = len(merged.changed[change.account]) > MAX_PENDING_TYPES
        if overflowed:
            told = resync(form, change.account, self._unknown_state())
            merged = merged._replace(changed={**merged.changed, **told})
        return pending, merged, overflowed

    def _tell(self, group: list[Connection], message: _Message, deadline: float) -> None:
        for start in range(0, len(group), CHUNK):
            now = self._clock()
            if now >= deadline:
                rest = group[start:]
                for connection in rest:
                    connection.pending = message.pending
                self._defer(_Rest(rest, message))
                return
            self._write(group[start : start + CHUNK], message, now)

    def _write(self, group: list[Connection], message: _Message, now: float) -> None:
        form, pending, frame = message
        self._sink.send(group, frame)
        if pending.changed:
            self.counters.pushed += len(group)
            self._observer.written(len(group), self._clock(), pending.consumed, pending.changed_at)
        self._cool(group, now)
        if form.ends is Ends.AT_ONCE or (form.ends is Ends.WITH_CHANGE and pending.changed):
            # Those the write has found gone have no form any more.
            there = [connection for connection in group if connection.form is form]
            self._sink.finish(there, changed=bool(pending.changed))

    def _cool(self, group: list[Connection], now: float) -> None:
        """Note that these have been written to: the next change waits until their interval is over."""
        if self._interval == 0:
            for connection in group:
                connection.pushed_at = now
        else:
            for connection in group:
                connection.pushed_at = now
                connection.pending = NOTHING
            due = now + self._interval
            if not self._cooling:
                self._sink.cool(due)
            if not self._cooling or self._cooling[-1][0] != due:
                self._cooling.append((due, []))
            self._cooling[-1][1].append(group)

    def blocked(self, connection: Connection) -> None:
        """A write to it is unfinished: from now on changes wait."""
        if connection.form is not None:
            connection.pending = connection.pending or NOTHING

    def unblocked(self, connection: Connection) -> None:
        """The unfinished write is done: tell what waited, unless it still has to cool down or to resume."""
        if connection.form is not None and self._is_free(connection, self._clock()):
            self._later([connection])

    def _is_free(self, connection: Connection, now: float) -> bool:
        """Whether nothing forbids to tell it now: neither its interval nor a resume nor an unfinished write."""
        return (
            now - connection.pushed_at >= self._interval - CLOCK_SLACK
            and connection not in self._resuming
            and not self._sink.is_blocked(connection)
        )

    def expire(self) -> None:
        """End the coalescing intervals that are over."""
        now = self._clock()
        while self._cooling and self._cooling[0][0] <= now:
            _, groups = self._cooling.popleft()
            # Crowds apart: then others take turns with them instead of standing behind them.
            few: list[Connection] = []
            crowded: list[Connection] = []
            for group in groups:
                waiting = few if len(group) < CHUNK else crowded
                waiting += [one for one in group if one.pending is not None and self._is_free(one, now)]
            self._later(few)
            self._later(crowded)
        if self._cooling:
            self._sink.cool(self._cooling[0][0])

    def _later(self, connections: list[Connection]) -> None:
        if connections:
            self._defer(_Rest(connections, None))

    def _defer(self, rest: _Rest) -> None:
        self._backlog.append(rest)
        self._sink.defer()

    def drain(self) -> None:
        """Write what waits for nobody but us, within the budget; asks to be called again when that is not all."""
        deadline = self._clock() + self._budget
        while self._backlog and (now := self._clock()) < deadline:
            rest = self._backlog.popleft()
            chunk, last = rest.take(CHUNK)
            if not last:
                # Taking turns: a crowd on one account must not hold up another.
                self._backlog.append(rest)
            free = [connection for connection in chunk if self._is_free(connection, now)]
            # Who waits for the very same as when the frame was made is told by that frame.
            same: list[Connection] = []
            if rest.message is not None:
                waits = rest.message.pending
                same = [connection for connection in free if connection.pending is waits]
                free = [connection for connection in free if connection.pending is not waits]
            if rest.message is not None and same:
                for connection in same:
                    connection.pending = None
                self._write(same, rest.message, now)
            self._flush(free, only_changes=True)
        if self._backlog:
            self._sink.defer()

    def _flush(self, connections: list[Connection], *, only_changes: bool = False) -> None:
        """Tell each what waits for it, encoded once for those that wait for the very same."""
        groups: dict[tuple[int, Form, str | tuple[str, ...]], list[Connection]] = {}
        for connection in connections:
            pending, form = connection.pending, connection.form
            if pending is None or form is None:
                continue
            if only_changes and not pending.changed:
                connection.pending = None
                continue
            groups.setdefault((id(pending), form, connection.accounts), []).append(connection)
        now = self._clock()
        for (_, form, _), group in groups.items():
            pending = group[0].pending or NOTHING
            frame = form.encode(pending.changed, self._cursor(group[0].account_names(), {}))
            for connection in group:
                connection.pending = None
            self._write(group, _Message(form, pending, frame), now)

    def _cursor(self, accounts: Iterable[str], newer: Mapping[int, bytes]) -> str:
        shards = sorted({shard_of(account, self._shards) for account in accounts})
        entries = b"".join(newer.get(shard) or self._entries.get(shard, b"") for shard in shards)
        return cursor.join(self._shards, entries)


def _wanted(changed: Mapping[str, str], form: Form) -> Mapping[str, str]:
    types = form.types
    return changed if types is None else {name: state for name, state in changed.items() if name in types}


def _merge(pending: Pending, changed: Changed, consumed: float, changed_at: float | None) -> Pending:
    """What waits, with something newer told by type; the times stay those of the oldest."""
    merged = {account: {**pending.changed.get(account, {}), **states} for account, states in changed.items()}
    if not pending.changed:
        return Pending(merged, consumed, changed_at)
    return pending._replace(changed={**pending.changed, **merged})


def _merge_told(changes: Sequence[Told]) -> list[Told]:
    """One change per account, the newest state by type, the oldest time."""
    merged: dict[str, Told] = {}
    for change in changes:
        earlier = merged.get(change.account)
        if earlier is not None:
            change = change._replace(
                changed={**earlier.changed, **change.changed},
                changed_at=earlier.changed_at or change.changed_at,
            )
        merged[change.account] = change
    return list(merged.values())
