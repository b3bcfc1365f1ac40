"""Subscribes connections through the hub: feeds as needed, what was missed first, resyncs at their pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from weakref import WeakValueDictionary

from tidings.bus.log import ChangeLog
from tidings.gateway.feeds.pool import Demand, Feed
from tidings.gateway.hub.hub import Hub
from tidings.gateway.hub.outages import Outages
from tidings.gateway.model.changes import ANYTHING, Changed, Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Encode, Ends, Form
from tidings.gateway.model.held import Held
from tidings.gateway.model.pending import ResyncReason
from tidings.gateway.resume.resumes import Resumes
from tidings.gateway.resume.resyncs import Resyncs
from tidings.ops.budget import Account
from tidings.wire.cursor import Position

FORM_BYTES: Final = 1_024
TYPE_BYTES: Final = 128
"""What a form takes, and the more for each of its data types beside its name."""
ACCOUNT_BYTES: Final = 192
"""What one of many accounts of a connection takes beside its name."""


class Subscriptions:
    """Implements the feeds' events. `resync_rate` is in clients a second, 0 for no bound.

    `resumed` hears of everybody who is told from where on nothing is missed, with the outcome. `held` counts the
    bytes of what clients ask for and of what waits for an answer.
    """

    def __init__(
        self,
        log: ChangeLog,
        hub: Hub,
        make_feed: Callable[[int], Feed],
        unknown_state: Callable[[], str],
        resync_rate: float,
        resumed: Callable[[Connection, str], None],
        held: Account,
    ) -> None:
        self._held = held
        self._hub = hub
        self._demand = Demand(make_feed)
        self.feeds = self._demand.feeds
        self.find = hub.find
        self.resyncs = Resyncs(resync_rate, self._release, resumed)
        self.resumes = Resumes(log, hub, self.feeds, self.resyncs, unknown_state, resumed, held)
        self.outages = Outages(self.feeds, self.resumes.shards_of)
        self._forms: WeakValueDictionary[tuple[frozenset[str] | None, Encode, Ends, bool], Form] = WeakValueDictionary()

    def form(
        self, types: frozenset[str] | None, encode: Encode, ends: Ends = Ends.NEVER, *, greets: bool = True
    ) -> Form:
        """The form for these data types and this wire format that all share who want the same; see Form.

        It is there for as long as somebody has it.
        """
        key = (types, encode, ends, greets)
        form = self._forms.get(key)
        if form is None:
            size = FORM_BYTES + sum(TYPE_BYTES + len(name) for name in types or ())
            form = self._forms[key] = Form(*key, Held(self._held, size))
        return form

    def subscribe(self, connection: Connection, form: Form, since: str | None) -> None:
        """Tell a connection of changes from now on, after what it missed since a cursor; again to change either."""
        known = connection.form is not None
        self._hub.add(connection, form)
        if not known:
            self._held.add(_accounts_bytes(connection))
            self._demand.add(self.resumes.shards_of(connection))
        self.resumes.begin(connection, since)

    def unsubscribe(self, connection: Connection) -> None:
        """Tell it nothing more, until it subscribes again."""
        if connection.form is None:
            return
        self._hub.remove(connection)
        self.resumes.forget(connection)
        self.resyncs.discard(connection)
        self._held.give(_accounts_bytes(connection))
        self._demand.remove(self.resumes.shards_of(connection))

    def left(self, connection: Connection) -> None:
        """It is gone for good."""
        self.unsubscribe(connection)
        self.resumes.left(connection)

    def is_stalled(self, connection: Connection) -> bool:
        """Whether a client may miss changes for now, since the log is silent in one of its shards."""
        return self.outages.concern(connection)

    def resync_waits(self, connection: Connection) -> bool:
        """Whether it waits for its turn to resynchronise."""
        return connection in self.resyncs

    def resume_waits(self, connection: Connection) -> bool:
        """Whether it waits since its account or connection has had too much looked up."""
        return connection in self.resumes.toll

    async def stop(self) -> None:
        self.resyncs.stop()
        await self.resumes.stop()
        await self._demand.stop()

    def live(self, shard: int, position: Position) -> None:
        self._hub.place(shard, position)
        self.resumes.live(shard)

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """A batch of a feed that was live."""
        if changes:
            anything = [told.account for told in changes if ANYTHING in told.changed]
            if anything:
                self._resync(anything, ResyncReason.SOURCE)
                changes = [told for told in changes if ANYTHING not in told.changed]
            self._hub.publish(shard, position, changes, consumed)
            if anything:
                # Again: a state of the same read, which may be older, took the place of what has everybody look.
                self._hub.resync(anything)
        else:
            self._hub.place(shard, position)

    def gap(self, shard: int, reason: ResyncReason) -> None:
        """Changes may have been missed: everybody connected for this shard resynchronises."""
        self._resync(self._hub.accounts(shard), reason)

    def _resync(self, accounts: Sequence[str], reason: ResyncReason) -> None:
        for connection in self._hub.resync(accounts):
            self.resyncs.add(connection, frozenset((reason,)), None)

    def _release(self, connection: Connection, missed: Changed | None) -> None:
        if connection in self.resumes:
            # It waits for an answer by now, which tells it of the resync too.
            return
        try:
            if missed is None:
                self._hub.release(connection)
            else:
                self._hub.resume(connection, missed)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self._hub.fail((connection,), error)


def _accounts_bytes(connection: Connection) -> int:
    """What several accounts of a connection take; one is what a connection has anyway."""
    accounts = connection.accounts
    return 0 if isinstance(accounts, str) else sum(ACCOUNT_BYTES + len(name) for name in accounts)
