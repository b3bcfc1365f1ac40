"""Subscribes connections through the hub: feeds as needed, what was missed first, resyncs at their pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tidings.bus.log import ChangeLog
from tidings.gateway.connection import Connection, Encode, Ends, Form
from tidings.gateway.demand import Demand, Feed
from tidings.gateway.hub import Hub
from tidings.gateway.pending import ResyncReason
from tidings.gateway.resumes import Resumes
from tidings.gateway.resyncs import Resyncs
from tidings.gateway.told import Changed, Told
from tidings.wire.cursor import Position

MAX_FORMS: Final = 1024
"""Forms that are shared; data type sets beyond that are legal but encoded separately."""


class Subscriptions:
    """Implements the feeds' events. `resync_rate` is in clients a second, 0 for no bound.

    `resumed` hears of everybody who is told from where on nothing is missed, with the outcome.
    """

    def __init__(
        self,
        log: ChangeLog,
        hub: Hub,
        make_feed: Callable[[int], Feed],
        unknown_state: Callable[[], str],
        resync_rate: float,
        resumed: Callable[[Connection, str], None],
    ) -> None:
        self._hub = hub
        self._demand = Demand(make_feed)
        self.feeds = self._demand.feeds
        self.resyncs = Resyncs(resync_rate, self._release, resumed)
        self.resumes = Resumes(log, hub, self.feeds, self.resyncs, unknown_state, resumed)
        self._forms: dict[tuple[frozenset[str] | None, Encode, Ends, bool], Form] = {}

    def form(
        self, types: frozenset[str] | None, encode: Encode, ends: Ends = Ends.NEVER, *, greets: bool = True
    ) -> Form:
        """The shared form for these data types and this wire format; see Form."""
        key = (types, encode, ends, greets)
        form = self._forms.get(key)
        if form is None:
            form = Form(*key)
            if len(self._forms) < MAX_FORMS:
                self._forms[key] = form
        return form

    def subscribe(self, connection: Connection, form: Form, since: str | None) -> None:
        """Tell a connection of changes from now on, after what it missed since a cursor; again to change either."""
        known = connection.form is not None
        self._hub.add(connection, form)
        if not known:
            self._demand.add(self.resumes.shards_of(connection))
        self.resumes.begin(connection, since)

    def unsubscribe(self, connection: Connection) -> None:
        """Tell it nothing more."""
        if connection.form is None:
            return
        self._hub.remove(connection)
        self.resumes.forget(connection)
        self.resyncs.discard(connection)
        self._demand.remove(self.resumes.shards_of(connection))

    async def stop(self) -> None:
        """Stop every feed."""
        self.resyncs.stop()
        await self.resumes.stop()
        await self._demand.stop()

    def live(self, shard: int, position: Position) -> None:
        """A feed went live."""
        self._hub.place(shard, position)
        self.resumes.live(shard)

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """A batch of a feed that was live."""
        if changes:
            self._hub.publish(shard, position, changes, consumed)
        else:
            self._hub.place(shard, position)

    def gap(self, shard: int) -> None:
        """Changes may have been missed: everybody connected for this shard resynchronises."""
        for connection in self._hub.resync(self._hub.accounts(shard)):
            self.resyncs.add(connection, frozenset((ResyncReason.GAP,)), None)

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
