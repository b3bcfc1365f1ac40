"""Sending: when a connection may be written to, and what of it is put off. Pure.

A connection is told something at once, then at most once per coalescing interval; nothing while it resumes or while
a write to it is unfinished. One call writes for a bounded time, and the rest takes turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from tidings.gateway.hub.positions import Positions
from tidings.gateway.model.changes import Changed, Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Ends, Form
from tidings.gateway.model.pending import FREE, ON_HOLD, Pending, wanted
from tidings.gateway.model.witness import PushWitness

CHUNK: Final = 64
"""Writes between two looks at the clock."""
CLOCK_SLACK: Final = 1e-6
"""Seconds; a sum of times is not exactly what it is compared with."""


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

    def fail(self, connections: Sequence[Connection], error: Exception) -> None:
        """A fault of ours with these, which may have been told nothing: end them."""

    def turn_away(self, connection: Connection) -> None:
        """Have it come again later: there is no room for what waits for it."""

    def defer(self) -> None:
        """See to it that `drain` is called soon."""

    def cool(self, due: float) -> None:
        """See to it that `expire` is called at `due`, in the hub's clock."""


@dataclass(slots=True)
class HubCounters:
    """Plain ints, read by the metrics collector."""

    matched: int = 0
    pushed: int = 0
    coalesced: int = 0
    overflowed: int = 0


class Message(NamedTuple):
    """What `form` makes of `pending`, encoded."""

    form: Form
    pending: Pending
    frame: bytes


class _Rest:
    """Those whom a call had no time left for, and the message that tells all of them what they waited for then."""

    __slots__ = ("_connections", "_taken", "message")

    def __init__(self, connections: list[Connection], message: Message | None) -> None:
        self._connections = connections
        self._taken = 0
        self.message = message

    def take(self, count: int) -> tuple[list[Connection], bool]:
        """The next so many, and whether these were the last."""
        start, self._taken = self._taken, self._taken + count
        return self._connections[start : self._taken], self._taken >= len(self._connections)


class Sending:
    """Writes to connections, now or later. The parameters are the hub's."""

    def __init__(
        self,
        *,
        interval: float,
        budget: float,
        positions: Positions,
        sink: Sink,
        witness: PushWitness,
        clock: Callable[[], float],
    ) -> None:
        self.counters = HubCounters()
        self.resuming: set[Connection] = set()
        """Who must not be written to yet, whatever happens."""
        self._interval = interval
        self._budget = budget
        self._positions = positions
        self._sink = sink
        self._witness = witness
        self._clock = clock
        self._cooling: deque[tuple[float, list[list[Connection]]]] = deque()
        self._backlog: deque[_Rest] = deque()

    def tell(self, group: list[Connection], message: Message, deadline: float) -> None:
        """Write one message to many; to those there is no time for before the deadline, later."""
        for start in range(0, len(group), CHUNK):
            now = self._clock()
            if now >= deadline:
                rest = group[start:]
                for connection in rest:
                    connection.pending = message.pending
                self._defer(_Rest(rest, message))
                return
            self._write(group[start : start + CHUNK], message, now)

    def tell_each(
        self,
        form: Form,
        connections: list[Connection],
        told: Sequence[Told],
        cursor: str,
        consumed: float,
        deadline: float,
    ) -> None:
        """Write to each of these, all of one form, its own change; after the deadline, to all of them later."""
        if form.types is None:
            changes: list[Changed] = [{change.account: change.changed} for change in told]
        else:
            changes = [{change.account: wanted(change.changed, form)} for change in told]
        now = self._clock()
        if now >= deadline:
            for connection, change, changed in zip(connections, told, changes, strict=True):
                connection.pending = Pending(changed, consumed, change.changed_at)
            self.later(connections)
            return
        self._sink.send_each(connections, form.encode(changes, cursor))
        self._witness.written_each(connections, self._clock(), told, consumed)
        self.counters.pushed += len(connections)
        self._cool(connections, now)

    def flush(self, connections: list[Connection], *, only_changes: bool = False) -> None:
        """Tell each what waits for it, encoded once for those that wait for the very same."""
        groups: dict[tuple[int, Form, str | tuple[str, ...]], list[Connection]] = {}
        frames: dict[tuple[Form, str], list[list[Connection]]] = {}
        for connection in connections:
            pending, form = connection.pending, connection.form
            if pending is FREE or form is None:
                continue
            if only_changes and not pending.changed:
                connection.pending = FREE
                continue
            groups.setdefault((id(pending), form, connection.accounts), []).append(connection)
        now = self._clock()
        for (_, form, _), group in groups.items():
            frames.setdefault((form, self._positions.cursor(group[0].account_names(), {})), []).append(group)
        for (form, cursor), told in frames.items():
            waited = [group[0].pending or ON_HOLD for group in told]
            encoded = form.encode([pending.changed for pending in waited], cursor)
            for group, pending, frame in zip(told, waited, encoded, strict=True):
                for connection in group:
                    connection.pending = FREE
                self._write(group, Message(form, pending, frame), now)

    def _write(self, group: list[Connection], message: Message, now: float) -> None:
        form, pending, frame = message
        self._sink.send(group, frame)
        if pending.changed:
            self.counters.pushed += len(group)
            self._witness.written(group, self._clock(), pending)
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
                connection.pending = ON_HOLD
            due = now + self._interval
            if not self._cooling:
                self._sink.cool(due)
            if not self._cooling or self._cooling[-1][0] != due:
                self._cooling.append((due, []))
            self._cooling[-1][1].append(group)

    def blocked(self, connection: Connection) -> None:
        """A write to it is unfinished: from now on changes wait."""
        if connection.form is not None:
            connection.pending = connection.pending or ON_HOLD

    def unblocked(self, connection: Connection) -> None:
        """The unfinished write is done: tell what waited, unless it still has to cool down or to resume."""
        if connection.form is not None and self._is_free(connection, self._clock()):
            self.later([connection])

    def is_blocked(self, connection: Connection) -> bool:
        """Whether an earlier write to it is unfinished."""
        return self._sink.is_blocked(connection)

    def _is_free(self, connection: Connection, now: float) -> bool:
        """Whether nothing forbids to tell it now: neither its interval nor a resume nor an unfinished write."""
        return (
            now - connection.pushed_at >= self._interval - CLOCK_SLACK
            and connection not in self.resuming
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
                waiting += [one for one in group if one.pending is not FREE and self._is_free(one, now)]
            self.later(few)
            self.later(crowded)
        if self._cooling:
            self._sink.cool(self._cooling[0][0])

    def later(self, connections: list[Connection]) -> None:
        """Tell these what waits for them as soon as there is time."""
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
            try:
                self._tell_rest(rest.message, chunk, now)
            except Exception as error:  # noqa: BLE001 - a fault of ours with some is no reason to leave others waiting
                self._sink.fail(chunk, error)
        if self._backlog:
            self._sink.defer()

    def _tell_rest(self, message: Message | None, chunk: list[Connection], now: float) -> None:
        free = [connection for connection in chunk if self._is_free(connection, now)]
        # Who waits for the very same as when the frame was made is told by that frame.
        same: list[Connection] = []
        if message is not None:
            waits = message.pending
            same = [connection for connection in free if connection.pending is waits]
            free = [connection for connection in free if connection.pending is not waits]
        if message is not None and same:
            for connection in same:
                connection.pending = FREE
            self._write(same, message, now)
        self.flush(free, only_changes=True)
