"""What those who come back have missed: nothing, what the window holds, what the log holds, or there is no saying."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from tidings.bus.log import ChangeLog
from tidings.errors import CursorError
from tidings.gateway.connection import Connection, Form
from tidings.gateway.demand import Feed
from tidings.gateway.history import Seeker
from tidings.gateway.hub import Hub
from tidings.gateway.pending import MAX_PENDING_TYPES, ResyncReason, resync, wanted
from tidings.gateway.replay import Replays
from tidings.gateway.resyncs import Resyncs
from tidings.gateway.told import Changed
from tidings.gateway.window import Place
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

RESUME_SECONDS: Final = 0.002
"""How long resuming may keep the loop before everybody else has a turn."""


@dataclass(slots=True)
class ResumeCounters:
    """Plain ints, read by the metrics collector."""

    fresh: int = 0
    nothing_missed: int = 0
    replayed_window: int = 0
    replayed_stream: int = 0
    resync: int = 0


class _Resume:
    """One client's cursor, and what has been found out since it gave it."""

    __slots__ = ("faults", "missed", "positions", "proven", "seekers", "streamed")

    def __init__(self, positions: dict[int, Position]) -> None:
        self.positions = positions
        self.missed: dict[str, dict[str, str]] = {}
        """What the log holds up to `positions`."""
        self.faults: dict[int, ResyncReason] = {}
        self.seekers: dict[int, Seeker] = {}
        self.streamed = False
        self.proven: set[int] = set()
        """Shards read as far as they went when the client came."""


class Resumes:
    """Those who have subscribed and have not been answered yet."""

    def __init__(
        self,
        log: ChangeLog,
        hub: Hub,
        feeds: Mapping[int, Feed],
        resyncs: Resyncs,
        unknown_state: Callable[[], str],
        resumed: Callable[[Connection, str], None],
    ) -> None:
        self.counters = ResumeCounters()
        self.replays = Replays(log, self._find, self._replayed)
        self._shards = log.shards
        self._hub = hub
        self._feeds = feeds
        self._resyncs = resyncs
        self._unknown_state = unknown_state
        self._resumed = resumed
        self._outstanding: dict[Connection, _Resume | None] = {}
        self._waiting_for: defaultdict[int, dict[Connection, None]] = defaultdict(dict)
        self._seeking: dict[Seeker, Connection] = {}
        self._ahead: dict[int, list[tuple[Connection, _Resume]]] = {}
        self._proofs: dict[int, asyncio.Task[None]] = {}
        self._ready: deque[Connection] = deque()

    def __len__(self) -> int:
        return len(self._outstanding)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._outstanding

    def shards_of(self, connection: Connection) -> set[int]:
        """The shards that a connection's accounts are in."""
        return {shard_of(account, self._shards) for account in connection.account_names()}

    def begin(self, connection: Connection, since: str | None) -> None:
        """Answer a subscription as soon as all is known: what was missed since a cursor, None of who has no cursor."""
        self.forget(connection)
        self._outstanding[connection] = None if since is None else _Resume(self._positions(since))
        self._try(connection)

    def forget(self, connection: Connection) -> None:
        """Nobody waits for this answer any more."""
        if connection not in self._outstanding:
            return
        resume = self._outstanding.pop(connection)
        for shard in self.shards_of(connection):
            self._waiting_for[shard].pop(connection, None)
        for seeker in resume.seekers.values() if resume is not None else ():
            seeker.gone = True
            del self._seeking[seeker]

    def live(self, shard: int) -> None:
        """A feed went live: those that waited for it go on."""
        self._go_on(self._waiting_for.pop(shard, ()))

    async def stop(self) -> None:
        """Answer nobody any more."""
        for connection in tuple(self._outstanding):
            self.forget(connection)
        proofs = tuple(self._proofs.values())
        for proof in proofs:
            proof.cancel()
        await asyncio.gather(self.replays.stop(), *proofs, return_exceptions=True)

    def _positions(self, since: str) -> dict[int, Position]:
        try:
            shards, positions = cursor.decode(since)
        except CursorError:
            return {}
        return positions if shards == self._shards else {}

    def _go_on(self, connections: Iterable[Connection]) -> None:
        """As many at once as there is time for."""
        idle = not self._ready
        self._ready.extend(connections)
        if idle and self._ready:
            self._try_some()

    def _try_some(self) -> None:
        deadline = time.monotonic() + RESUME_SECONDS
        while self._ready:
            connection = self._ready.popleft()
            try:
                if connection in self._outstanding:
                    self._try(connection)
            except Exception as error:  # noqa: BLE001 - a fault of ours with one
                self._hub.fail((connection,), error)
            if time.monotonic() >= deadline:
                break
        if self._ready:
            asyncio.get_running_loop().call_soon(self._try_some)

    def _try(self, connection: Connection) -> None:
        shards = self.shards_of(connection)
        not_live = [shard for shard in shards if not self._feeds[shard].live]
        for shard in not_live:
            self._waiting_for[shard][connection] = None
        if not_live:
            return
        resume = self._outstanding[connection]
        if resume is not None:
            # Of every shard, so that none waits for another to be found out.
            known = [self._is_known(connection, resume, shard) for shard in shards]
            if not all(known):
                return
        self.forget(connection)
        if resume is None:
            self.counters.fresh += 1
            self._resumed(connection, "fresh")
            self._answer(connection, {}, frozenset())
        elif connection.form is not None:
            self._answer(connection, *self._missed(connection, connection.form, resume))

    def _is_known(self, connection: Connection, resume: _Resume, shard: int) -> bool:
        """Whether the window says what was missed, or nothing can; has somebody find out where it is neither."""
        if shard in resume.faults:
            return True
        if shard in resume.seekers:
            return False
        position = resume.positions.get(shard)
        if position is None:
            resume.faults[shard] = ResyncReason.UNKNOWN
            return True
        place = self._feeds[shard].window.find(position)
        if place is Place.BEFORE:
            accounts = [name for name in connection.account_names() if shard_of(name, self._shards) == shard]
            resume.seekers[shard] = seeker = Seeker(accounts, position)
            self._seeking[seeker] = connection
            self.replays.ask(shard, seeker)
            return False
        if place is Place.BEYOND and shard not in resume.proven:
            # Another gateway may have told of what has not come here yet.
            self._ahead.setdefault(shard, []).append((connection, resume))
            if shard not in self._proofs:
                self._proofs[shard] = asyncio.get_running_loop().create_task(self._prove(shard))
            return False
        if place is not Place.INSIDE:
            resume.faults[shard] = ResyncReason.MISMATCH
        return True

    async def _prove(self, shard: int) -> None:
        try:
            # No feed: it has ended, and so have all that waited for it.
            while (waiting := self._ahead.pop(shard, None)) and shard in self._feeds:
                await self._feeds[shard].prove()
                # Who asked again meanwhile, with another cursor, is proven nothing: that one may be of a later batch.
                asking = [(one, resume) for one, resume in waiting if self._outstanding.get(one) is resume]
                for _, resume in asking:
                    resume.proven.add(shard)
                self._go_on(one for one, _ in asking)
        finally:
            del self._proofs[shard]

    def _find(self, shard: int, position: Position) -> Place:
        feed = self._feeds.get(shard)
        return Place.BEYOND if feed is None else feed.window.find(position)

    def _replayed(self, shard: int, seeker: Seeker) -> None:
        connection = self._seeking.pop(seeker, None)
        if connection is None:
            return
        resume = cast("_Resume", self._outstanding[connection])
        del resume.seekers[shard]
        resume.positions[shard] = seeker.position
        for account, states in seeker.missed.items():
            resume.missed[account] = {**resume.missed.get(account, {}), **states}
        if seeker.fault is not None:
            resume.faults[shard] = seeker.fault
        resume.streamed = True
        self._go_on((connection,))

    def _missed(
        self, connection: Connection, form: Form, resume: _Resume
    ) -> tuple[dict[str, Mapping[str, str]], frozenset[ResyncReason]]:
        missed: dict[str, Mapping[str, str]] = {}
        for account in connection.account_names():
            shard = shard_of(account, self._shards)
            if shard in resume.faults:
                missed |= resync(form, account, self._unknown_state())
                continue
            recent = self._feeds[shard].window.missed(account, resume.positions[shard])
            states = wanted({**resume.missed.get(account, {}), **recent}, form)
            if len(states) > MAX_PENDING_TYPES:
                missed |= resync(form, account, self._unknown_state())
            elif states:
                missed[account] = states
        reasons = frozenset(resume.faults.values())
        counters = self.counters
        if reasons:
            counters.resync += 1
        elif resume.streamed:
            counters.replayed_stream += 1
            self._resumed(connection, "replayed_stream")
        elif missed:
            counters.replayed_window += 1
            self._resumed(connection, "replayed_window")
        else:
            counters.nothing_missed += 1
            self._resumed(connection, "nothing_missed")
        return missed, reasons

    def _answer(self, connection: Connection, missed: Changed, reasons: frozenset[ResyncReason]) -> None:
        if reasons or connection in self._resyncs:
            self._resyncs.add(connection, reasons, missed)
        else:
            self._hub.resume(connection, missed)
