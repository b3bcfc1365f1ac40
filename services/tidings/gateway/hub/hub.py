"""The hub: who is told of a change, now or coalesced, and with which cursor. Pure.

The cursor rule: a cursor covers only changes that were matched to this connection and are in this or an earlier
frame. It holds because (1) a shard's position moves only when every change of the batch was written or merged into
`pending`, (2) a frame that is not its connection's last of the batch carries the position before the batch, and
(3) a flush tells everything pending.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import cast

from tidings.gateway.hub.fanout import Fanout
from tidings.gateway.hub.positions import Positions
from tidings.gateway.hub.roster import Roster
from tidings.gateway.hub.sending import Sending, Sink
from tidings.gateway.model.changes import Changed, Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Form
from tidings.gateway.model.pending import FREE, ON_HOLD, Merges, merge, reshaped, resync, with_missed
from tidings.gateway.model.witness import PushWitness
from tidings.ops.budget import Account
from tidings.wire import cursor
from tidings.wire.cursor import Position


class Hub:
    """Connections by account, and what each is still to be told.

    `interval` is the coalescing interval in seconds (0: every change by itself), `budget` the seconds one call may
    write before the rest waits for `drain`, `unknown_state` gives states that no client has seen, `waiting` counts the
    bytes of what waits.
    """

    def __init__(
        self,
        *,
        shards: int,
        interval: float,
        budget: float,
        sink: Sink,
        witness: PushWitness,
        clock: Callable[[], float],
        unknown_state: Callable[[], str],
        waiting: Account,
    ) -> None:
        self._waiting = waiting
        self._clock = clock
        self._sink = sink
        self._unknown_state = unknown_state
        self._roster = Roster(shards)
        self.find = self._roster.find
        self._positions = Positions(shards)
        self._sending = Sending(
            interval=interval,
            budget=budget,
            positions=self._positions,
            sink=sink,
            witness=witness,
            clock=clock,
        )
        self._fanout = Fanout(
            shards=shards,
            interval=interval,
            budget=budget,
            roster=self._roster,
            positions=self._positions,
            sending=self._sending,
            witness=witness,
            clock=clock,
            unknown_state=unknown_state,
            waiting=waiting,
        )
        self.counters = self._sending.counters

    def add(self, connection: Connection, form: Form) -> None:
        """Match changes to this connection from now on; they wait until it has been resumed.

        One that is there already gets another form; what waits for it still does, as far as the form wants it.
        """
        connection.pending = reshaped(connection.pending or ON_HOLD, form, self._waiting)
        connection.form = form
        self._sending.resuming.add(connection)
        self._roster.add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection, and what waits for it."""
        self._sending.resuming.discard(connection)
        connection.pending = FREE
        connection.form = None
        self._roster.remove(connection)

    def connections(self, account: str) -> Collection[Connection]:
        """The connections of an account."""
        return self._roster.connections(account)

    def is_resuming(self, connection: Connection) -> bool:
        """Whether a connection must not be told anything yet."""
        return connection in self._sending.resuming

    def cursor(self, account: str) -> str:
        """The cursor that an account's clients would be given now."""
        return self._positions.cursor((account,), {})

    def accounts(self, shard: int) -> list[str]:
        """The accounts of a shard that somebody is connected for."""
        return self._roster.accounts(shard)

    def resume(self, connection: Connection, missed: Changed) -> None:
        """End a resume: tell what was missed and what came meanwhile in one frame, with the present cursor.

        To a client that its form greets, a frame goes out even when that is nothing: it says from which cursor on
        nothing is missed.
        """
        self._sending.resuming.discard(connection)
        connection.pending = with_missed(connection.pending or ON_HOLD, missed, self._clock())
        form = connection.form
        self._sending.flush([connection], only_changes=form is not None and not form.greets)
        if self._sending.is_blocked(connection):
            self.blocked(connection)

    def refresh(self, connection: Connection) -> bool:
        """Tell a connection that nothing happened, with a fresh cursor; False while anything waits for it."""
        if connection.form is None or connection.pending is not FREE:
            return False
        connection.pending = ON_HOLD
        self._sending.flush([connection])
        return True

    def place(self, shard: int, position: Position) -> None:
        """Set a shard's position where there is no change to tell: a marker, or a feed that went live."""
        self._positions.place(shard, cursor.encode_entry(shard, position))

    def resync(self, accounts: Iterable[str]) -> list[Connection]:
        """Have everybody connected for these accounts told to resynchronise them; each waits until it is released."""
        concerned: dict[Connection, None] = {}
        now = self._clock()
        for account in accounts:
            state = self._unknown_state()
            merges: Merges = {}
            for connection in self.connections(account):
                concerned[connection] = None
                # Whoever is in the table has subscribed, and so has a form.
                form = cast("Form", connection.form)
                pending = connection.pending or ON_HOLD
                merged = merges.get((id(pending), form))
                if merged is None:
                    news = merge(pending, resync(form, account, state), now, None, self._waiting)
                    merged = merges[id(pending), form] = (pending, news, False)
                connection.pending = merged[1]
        self._sending.resuming.update(concerned)
        return list(concerned)

    def release(self, connection: Connection) -> None:
        """Tell it what waited for a resync's turn, unless it still has to cool down or to read."""
        self._sending.resuming.discard(connection)
        self._sending.later([connection])

    def publish(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """Tell everybody of a batch's changes, in log order, then move the shard's position.

        Not to be called again, nor `drain` or `expire`, before it has returned.
        """
        self._fanout.publish(shard, position, changes, consumed)

    def fail(self, connections: Sequence[Connection], error: Exception) -> None:
        """A fault of ours with these: nobody else is to wait for it. They are ended."""
        self._sink.fail(connections, error)

    def turn_away(self, connection: Connection) -> None:
        """There is no room for what it waits for: end it, so that it comes again later."""
        self._sink.turn_away(connection)

    def blocked(self, connection: Connection) -> None:
        """A write to it is unfinished: from now on changes wait."""
        self._sending.blocked(connection)

    def unblocked(self, connection: Connection) -> None:
        """The unfinished write is done: tell what waited, unless it still has to cool down or to resume."""
        self._sending.unblocked(connection)

    def expire(self) -> None:
        """End the coalescing intervals that are over."""
        self._sending.expire()

    def drain(self) -> None:
        """Write what waits for nobody but us, within the budget; asks to be called again when that is not all."""
        self._sending.drain()
