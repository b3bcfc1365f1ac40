"""The fan-out of a batch: whom each change concerns, and which cursor the frame that tells of it carries. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tidings.gateway.hub import sending
from tidings.gateway.hub.positions import Positions
from tidings.gateway.hub.roster import Roster
from tidings.gateway.hub.sending import Message, Sending
from tidings.gateway.model.changes import Told, by_account
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Ends, Form
from tidings.gateway.model.pending import FREE, Merges, Pending, is_too_much, merge, replaced, resync, wanted
from tidings.gateway.model.witness import PushWitness
from tidings.ops.budget import Account
from tidings.wire import cursor
from tidings.wire.cursor import Position

_NEVER: Final = Ends.NEVER


class _Singles:
    """The usual case: one idle connection of one account, told of the last change of that account in a batch.

    All of them get the same cursor, that of their shard after the batch, and those of one form are told together.
    """

    __slots__ = ("by_form", "count")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.by_form: dict[Form, tuple[list[Connection], list[Told]]] = {}
        self.count = 0

    def take(self, connection: Connection, change: Told) -> bool:
        """Whether it is one of these, and has been put to them."""
        form = connection.form
        if connection.pending is not FREE or form is None or form.ends is not _NEVER:
            return False
        if connection.accounts.__class__ is not str:
            return False
        if form.types is not None and form.types.isdisjoint(change.changed):
            return False
        group = self.by_form.get(form)
        if group is None:
            group = self.by_form[form] = ([], [])
        connections, told = group
        connections.append(connection)
        told.append(change)
        self.count += 1
        return True


class Fanout:
    """Matches batches with the roster and gives what comes of it to Sending. The parameters are the hub's."""

    def __init__(
        self,
        *,
        shards: int,
        interval: float,
        budget: float,
        roster: Roster,
        positions: Positions,
        sending: Sending,
        witness: PushWitness,
        clock: Callable[[], float],
        unknown_state: Callable[[], str],
        waiting: Account,
    ) -> None:
        self._shards = shards
        self._interval = interval
        self._budget = budget
        self._roster = roster
        self._positions = positions
        self._sending = sending
        self._witness = witness
        self._clock = clock
        self._unknown_state = unknown_state
        self._waiting = waiting

    def publish(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """Tell everybody of a batch's changes, in log order, then move the shard's position."""
        deadline = self._clock() + self._budget
        entry = cursor.encode_entry(shard, position)
        if self._interval == 0:
            # Each by itself while there is time for it: a batch can hold a thousand changes of a crowded account.
            changes = changes[self._tell_each(changes, {shard: entry}, consumed, deadline, hurry=True) :]
        if changes:
            merged = by_account(changes) if len(changes) > 1 else changes
            self._tell_each(merged, {shard: entry}, consumed, deadline, hurry=False)
        self._positions.place(shard, entry)

    def _tell_each(
        self, changes: Sequence[Told], entry: Mapping[int, bytes], consumed: float, deadline: float, *, hurry: bool
    ) -> int:
        """Tell of one change after the other; of how many, since in a `hurry` it ends with the deadline."""
        last = {change[0]: index for index, change in enumerate(changes)}
        find = self._roster.find
        chunk = sending.CHUNK
        (moved,) = entry.values()
        after = cursor.join(self._shards, moved)
        singles = _Singles()
        late = False
        for index, change in enumerate(changes):
            if late:
                self._tell_singles(singles, after, consumed, deadline)
                return index
            found = find(change.account)
            if found is None:
                continue
            if found.__class__ is Connection and last[change.account] == index and singles.take(found, change):
                if singles.count == chunk:
                    self._tell_singles(singles, after, consumed, deadline)
                    late = hurry and self._clock() >= deadline
                continue
            for (form, accounts), group in self._match(found, change, consumed).items():
                if not group:
                    continue
                changed = {change.account: wanted(change.changed, form)}
                final = all(last.get(account, -1) <= index for account in accounts)
                (frame,) = form.encode([changed], self._positions.cursor(accounts, entry if final else {}))
                message = Message(form, Pending(changed, consumed, change.changed_at), frame)
                self._sending.tell(group, message, deadline)
            late = hurry and self._clock() >= deadline
        self._tell_singles(singles, after, consumed, deadline)
        return len(changes)

    def _tell_singles(self, singles: _Singles, after: str, consumed: float, deadline: float) -> None:
        for form, (connections, told) in singles.by_form.items():
            self._sending.tell_each(form, connections, told, after, consumed, deadline)
        self._sending.counters.matched += singles.count
        singles.clear()

    def _match(
        self, found: Connection | dict[Connection, None], change: Told, consumed: float
    ) -> dict[tuple[Form, tuple[str, ...]], list[Connection]]:
        """Merge the change into what waits; give those that can be told now, by what they are told."""
        groups: dict[tuple[Form, tuple[str, ...]], list[Connection]] = {}
        merges: Merges = {}
        single = (change.account,)
        last: Form | None = None
        ready: list[Connection] | None = None
        matched = coalesced = overflows = 0
        for connection in found if isinstance(found, dict) else (found,):
            form = connection.form
            if form is not last:
                last = form
                concerned = form is not None and (form.types is None or not form.types.isdisjoint(change.changed))
                ready = groups.setdefault((form, single), []) if form is not None and concerned else None
            if ready is None or form is None:
                continue
            pending = connection.pending
            if pending is not FREE:
                merged = merges.get((id(pending), form))
                if merged is None:
                    merged = merges[id(pending), form] = self._coalesce(pending, form, change, consumed)
                _, connection.pending, overflowed = merged
                coalesced += bool(pending.changed)
                overflows += overflowed
            elif connection.accounts.__class__ is str:
                ready.append(connection)
            else:
                groups.setdefault((form, connection.account_names()), []).append(connection)
            matched += 1
        counters = self._sending.counters
        counters.matched += matched
        counters.coalesced += coalesced
        counters.overflowed += overflows
        if coalesced:
            self._witness.merged(connection, change.account, coalesced)
        return groups

    def _coalesce(self, pending: Pending, form: Form, change: Told, consumed: float) -> tuple[Pending, Pending, bool]:
        changed = {change.account: wanted(change.changed, form)}
        merged = merge(pending, changed, consumed, change.changed_at, self._waiting)
        overflowed = is_too_much(merged, change.account)
        if overflowed:
            merged = replaced(merged, resync(form, change.account, self._unknown_state()), self._waiting)
        return pending, merged, overflowed
