"""Who needs which feeds, and what those who come back have missed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tidings.errors import CursorError
from tidings.gateway.connection import Connection, Encode, Ends, Form
from tidings.gateway.hub import Hub
from tidings.gateway.pending import resync
from tidings.gateway.told import Told
from tidings.gateway.window import ResyncReason, Window
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

LINGER_SECONDS: Final = 180.0
"""How long a feed outlives its last connection."""
RESUME_SECONDS: Final = 0.002
"""How long resuming may keep the loop before everybody else has a turn."""
MAX_FORMS: Final = 1024
"""Forms that are shared; data type sets beyond that are legal but encoded separately."""


class Feed(Protocol):
    """A reader of one shard, as seen from here."""

    @property
    def live(self) -> bool:
        """Whether it delivers now."""

    @property
    def window(self) -> Window:
        """The batches of the last minutes."""

    def start(self) -> None:
        """Attach."""

    async def stop(self) -> None:
        """Detach."""


@dataclass(slots=True)
class ResumeCounters:
    """Plain ints, read by the metrics collector."""

    fresh: int = 0
    nothing_missed: int = 0
    replayed_window: int = 0
    resync: dict[ResyncReason, int] = field(default_factory=lambda: dict.fromkeys(ResyncReason, 0))


class Subscriptions:
    """Subscribes connections through the hub once their feeds are live. Implements the feeds' events."""

    def __init__(
        self, shards: int, hub: Hub, make_feed: Callable[[int], Feed], unknown_state: Callable[[], str]
    ) -> None:
        self.counters = ResumeCounters()
        self.feeds: dict[int, Feed] = {}
        self._shards = shards
        self._hub = hub
        self._make_feed = make_feed
        self._unknown_state = unknown_state
        self._demand: defaultdict[int, int] = defaultdict(int)
        self._waiting: dict[Connection, str | None] = {}
        self._waiting_for: defaultdict[int, dict[Connection, None]] = defaultdict(dict)
        self._forms: dict[tuple[frozenset[str] | None, Encode, Ends, bool], Form] = {}
        self._resumable: deque[Connection] = deque()
        self._lingering: dict[int, asyncio.TimerHandle] = {}
        self._stopping: set[asyncio.Task[None]] = set()

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
        for shard in self._shards_of(connection):
            if not known:
                self._demand[shard] += 1
                if shard in self._lingering:
                    self._lingering.pop(shard).cancel()
            if shard not in self.feeds:
                self.feeds[shard] = feed = self._make_feed(shard)
                feed.start()
        self._waiting[connection] = since
        self._try_resume(connection)

    def unsubscribe(self, connection: Connection) -> None:
        """Tell it nothing more."""
        if connection.form is None:
            return
        self._hub.remove(connection)
        self._forget_waiting(connection)
        for shard in self._shards_of(connection):
            self._demand[shard] -= 1
            if not self._demand[shard]:
                loop = asyncio.get_running_loop()
                self._lingering[shard] = loop.call_later(LINGER_SECONDS, self._detach, shard)

    async def stop(self) -> None:
        """Stop every feed."""
        for lingering in self._lingering.values():
            lingering.cancel()
        await asyncio.gather(*(feed.stop() for feed in self.feeds.values()), *self._stopping)
        self.feeds.clear()

    def live(self, shard: int, position: Position) -> None:
        """A feed went live: those that waited for it go on, as many at once as there is time for."""
        self._hub.place(shard, position)
        idle = not self._resumable
        self._resumable.extend(self._waiting_for.pop(shard, ()))
        if idle:
            self._resume_some()

    def _resume_some(self) -> None:
        deadline = time.monotonic() + RESUME_SECONDS
        while self._resumable:
            connection = self._resumable.popleft()
            if connection in self._waiting:
                self._try_resume(connection)
            if time.monotonic() >= deadline:
                break
        if self._resumable:
            asyncio.get_running_loop().call_soon(self._resume_some)

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """A batch of a feed that was live."""
        if changes:
            self._hub.publish(shard, position, changes, consumed)
        else:
            self._hub.place(shard, position)

    def gap(self, shard: int) -> None:
        """Changes may have been missed: everybody connected for this shard resynchronises."""
        accounts = self._hub.accounts(shard)
        self.counters.resync[ResyncReason.GAP] += sum(len(self._hub.connections(name)) for name in accounts)
        self._hub.resync(accounts)

    def _shards_of(self, connection: Connection) -> set[int]:
        return {shard_of(account, self._shards) for account in connection.account_names()}

    def _forget_waiting(self, connection: Connection) -> None:
        if connection in self._waiting:
            del self._waiting[connection]
            for shard in self._shards_of(connection):
                self._waiting_for[shard].pop(connection, None)

    def _detach(self, shard: int) -> None:
        del self._lingering[shard]
        task = asyncio.get_running_loop().create_task(self.feeds.pop(shard).stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _try_resume(self, connection: Connection) -> None:
        waits_for = [shard for shard in self._shards_of(connection) if not self.feeds[shard].live]
        for shard in waits_for:
            self._waiting_for[shard][connection] = None
        if waits_for:
            return
        since = self._waiting[connection]
        self._forget_waiting(connection)
        form = connection.form
        if form is None:
            return
        missed: dict[str, dict[str, str]] = {}
        if since is None:
            self.counters.fresh += 1
        else:
            missed = self._missed(connection, form, since)
        self._hub.resume(connection, missed)

    def _missed(self, connection: Connection, form: Form, since: str) -> dict[str, dict[str, str]]:
        positions = self._positions(since)
        missed: dict[str, dict[str, str]] = {}
        reasons: set[ResyncReason] = set()
        for account in connection.account_names():
            shard = shard_of(account, self._shards)
            position = positions.get(shard)
            found = self.feeds[shard].window.missed(account, position) if position else ResyncReason.UNKNOWN
            if isinstance(found, ResyncReason):
                reasons.add(found)
                missed |= resync(form, account, self._unknown_state())
            else:
                states = {name: found[name] for name in found if form.types is None or name in form.types}
                missed |= {account: states} if states else {}
        for reason in reasons:
            self.counters.resync[reason] += 1
        if not reasons:
            self.counters.replayed_window += bool(missed)
            self.counters.nothing_missed += not missed
        return missed

    def _positions(self, since: str) -> dict[int, Position]:
        try:
            shards, positions = cursor.decode(since)
        except CursorError:
            return {}
        return positions if shards == self._shards else {}
