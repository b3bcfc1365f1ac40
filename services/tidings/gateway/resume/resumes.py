"""What those who come back have missed: nothing, what the window holds, what the log holds, or there is no saying."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from tidings.bus.log import ChangeLog
from tidings.errors import CursorError
from tidings.gateway.feeds.pool import Feed
from tidings.gateway.feeds.window import Place
from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.changes import ANYTHING, Changed
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Form
from tidings.gateway.model.held import Held, size_of
from tidings.gateway.model.pending import MAX_PENDING_TYPES, ResyncReason, resync, wanted
from tidings.gateway.resume.answers import Answers, Question
from tidings.gateway.resume.history import Seeker
from tidings.gateway.resume.proofs import Proofs
from tidings.gateway.resume.replay import Replays
from tidings.gateway.resume.resyncs import Resyncs
from tidings.gateway.resume.toll import Toll
from tidings.ops.budget import Account
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

RESUME_SECONDS: Final = 0.002
"""How long resuming may keep the loop before everybody else has a turn."""
FREE_SECONDS: Final = 0.0005
"""What a resume may cost without being charged: most cost less."""
FORGED_SECONDS: Final = 0.02
"""What is charged for a marker that was appended for a cursor of no log."""
RESUME_BYTES: Final = 512
SHARD_BYTES: Final = 384
"""What waits for one answer, and the more for each of its shards."""


@dataclass(slots=True)
class ResumeCounters:
    """Plain ints, read by the metrics collector."""

    fresh: int = 0
    nothing_missed: int = 0
    replayed_window: int = 0
    replayed_stream: int = 0
    resync: int = 0


class _Resume:
    """One client's cursor (`positions`; None of who has none), and what has been found out since it gave it."""

    __slots__ = ("asked", "begun", "faults", "held", "missed", "positions", "proven", "seeker")

    def __init__(self, positions: dict[int, Position] | None, held: Held) -> None:
        self.positions = positions
        self.held = held
        self.missed: dict[str, dict[str, str]] = {}
        """What the log holds up to `positions`; its seeker adds to it."""
        self.faults: dict[int, ResyncReason] = {}
        self.seeker: Seeker | None = None
        """One read at a time: a client with many shards has one after the other read."""
        self.begun = False
        self.asked: dict[int, Question] = {}
        """What is asked of the log, by shard."""
        self.proven: frozenset[int] = frozenset()
        """Shards read as far as they went when the client came."""


class Resumes:
    """Those who have subscribed and have not been answered yet: one resume each, which leaves with its connection.

    `held` counts what they keep. Who has cost too much is answered later, but never told to resynchronise for it.
    """

    def __init__(
        self,
        log: ChangeLog,
        hub: Hub,
        feeds: Mapping[int, Feed],
        resyncs: Resyncs,
        unknown_state: Callable[[], str],
        resumed: Callable[[Connection, str], None],
        held: Account,
    ) -> None:
        self.counters = ResumeCounters()
        self.toll = Toll(self._go_on)
        self._answers = Answers(held)
        self.replays = Replays(log, self._find, self._replayed, self.toll.charge)
        self.proofs = Proofs(feeds, self._proven)
        self._shards = log.shards
        self._hub = hub
        self._feeds = feeds
        self._resyncs = resyncs
        self._unknown_state = unknown_state
        self._resumed = resumed
        self._held = held
        self._outstanding: dict[Connection, _Resume] = {}
        self._waiting_for: dict[int, dict[Connection, None]] = {}
        self._ready: deque[Connection] = deque()

    def __len__(self) -> int:
        return len(self._outstanding)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._outstanding

    def shards_of(self, connection: Connection) -> Collection[int]:
        """The shards that a connection's accounts are in, each once."""
        accounts = connection.accounts
        if isinstance(accounts, str):
            return (shard_of(accounts, self._shards),)
        return {shard_of(account, self._shards) for account in accounts}

    def begin(self, connection: Connection, since: str | None) -> None:
        """Answer a subscription as soon as all is known: what was missed since a cursor, None of who has no cursor.

        In place of the answer to an earlier one, if that is outstanding. Who has no room is turned away.
        """
        self.forget(connection)
        shards = self.shards_of(connection)
        answers_now = since is None and all(self._feeds[shard].live for shard in shards)
        held = None if answers_now else Held(self._held, RESUME_BYTES + SHARD_BYTES * len(shards))
        if not self._held.take(0):
            self._hub.turn_away(connection)
            return
        if held is None:
            self._answer_fresh(connection)
            return
        self._outstanding[connection] = _Resume(None if since is None else self._positions(since, shards), held)
        self._try(connection)

    def forget(self, connection: Connection) -> None:
        """Nobody waits for this answer any more."""
        resume = self._outstanding.pop(connection, None)
        if resume is None:
            return
        shards = self.shards_of(connection)
        for shard in shards:
            self._waiting_for.get(shard, {}).pop(connection, None)
        self.proofs.forget(connection, shards)
        self.toll.discard(connection)
        if resume.seeker is not None:
            self.replays.forget(shard_of(resume.seeker.accounts[0], self._shards), resume.seeker)

    def left(self, connection: Connection) -> None:
        """A connection is gone for good: what it has cost is remembered of its accounts alone."""
        self.forget(connection)
        self.toll.forget(connection)

    def holdings(self) -> list[tuple[Connection, int]]:
        """Who has not been answered yet, with the bytes that are held for it."""
        return [(connection, resume.held.size) for connection, resume in self._outstanding.items()]

    def live(self, shard: int) -> None:
        """A feed went live: those that waited for it go on."""
        self._go_on(self._waiting_for.pop(shard, ()))

    async def stop(self) -> None:
        for connection in tuple(self._outstanding):
            self.forget(connection)
        self.toll.stop()
        await asyncio.gather(self.replays.stop(), self.proofs.stop())

    def _positions(self, since: str, wanted: Collection[int]) -> dict[int, Position]:
        """What a cursor says of these shards; what it says of others is nothing to keep."""
        try:
            shards, positions = cursor.decode(since)
        except CursorError:
            return {}
        if shards != self._shards:
            return {}
        return {shard: position for shard, position in positions.items() if shard in wanted}

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
            self._waiting_for.setdefault(shard, {})[connection] = None
        if not_live:
            return
        resume = self._outstanding[connection]
        if resume.positions is None:
            self.forget(connection)
            self._answer_fresh(connection)
            return
        # Of every shard, so that none waits for another to be found out.
        unknown = [shard for shard in shards if not self._is_known(connection, resume, resume.positions, shard)]
        # One that has begun is finished, whatever it costs: whoever asks for more after that waits.
        if not resume.begun and not self.toll.lets_pass(connection, self._accounts(connection, unknown)):
            return
        resume.begun = True
        for shard in unknown:
            self._find_out(connection, resume, shard, resume.positions[shard])
        if not unknown:
            worked = time.thread_time()
            missed, reasons = self._missed(connection, cast("Form", connection.form), resume, resume.positions)
            # What a crowd of one account costs when it comes back is nobody's fault.
            self.toll.charge((connection,), time.thread_time() - worked - FREE_SECONDS)
            self.forget(connection)
            self._answer(connection, missed, reasons)

    def _accounts(self, connection: Connection, shards: Collection[int]) -> list[str]:
        return [name for name in connection.account_names() if shard_of(name, self._shards) in shards]

    def _is_known(self, connection: Connection, resume: _Resume, positions: dict[int, Position], shard: int) -> bool:
        """Whether the window, with what is known of the log, says what was missed in a shard, or nothing can."""
        if shard in resume.faults:
            return True
        position = positions.get(shard)
        if position is None:
            resume.faults[shard] = ResyncReason.UNKNOWN
            return True
        place = self._find(shard, position)
        if place is Place.BEFORE:
            positions[shard] = self._recalled(connection, resume, shard, position)
            place = self._find(shard, positions[shard])
        if place is Place.BEFORE or (place is Place.BEYOND and shard not in resume.proven):
            return False
        if place is not Place.INSIDE:
            resume.faults[shard] = ResyncReason.MISMATCH
        return True

    def _recalled(self, connection: Connection, resume: _Resume, shard: int, position: Position) -> Position:
        """Where the window does not reach: up to where it is known what was missed, since somebody asked the same."""
        question = resume.asked.get(shard)
        if question is None:
            # Whoever waits for an answer has subscribed, and so has a form.
            types = cast("Form", connection.form).types
            question = resume.asked[shard] = Question(tuple(self._accounts(connection, (shard,))), types, position)
        answer = self._answers.find(question)
        if answer is None or answer.position.offset <= position.offset:
            return position
        for account, states in answer.missed.items():
            resume.missed[account] = dict(states)
        return answer.position

    def _find_out(self, connection: Connection, resume: _Resume, shard: int, position: Position) -> None:
        """Have what the window does not say read from the log; in one shard after the other."""
        if self._find(shard, position) is Place.BEYOND:
            # Another gateway may have told of what has not come here yet.
            self.proofs.ask(shard, connection)
        elif resume.seeker is None:
            accounts, types, _ = resume.asked[shard]
            resume.seeker = Seeker(connection, accounts, types, position, resume.missed, resume.held)
            self.replays.ask(shard, resume.seeker)

    def _proven(self, shard: int, connections: list[Connection]) -> None:
        forged: dict[Connection | str, None] = {}
        for connection in connections:
            resume = self._outstanding[connection]
            resume.proven |= {shard}
            position = (resume.positions or {}).get(shard)
            if position is not None and self._find(shard, position) is Place.BEYOND:
                forged |= dict.fromkeys((connection, *self._accounts(connection, (shard,))))
        self.toll.charge(forged, FORGED_SECONDS)
        self._go_on(connections)

    def _find(self, shard: int, position: Position) -> Place:
        feed = self._feeds.get(shard)
        return Place.BEYOND if feed is None else feed.window.find(position)

    def _replayed(self, shard: int, seeker: Seeker) -> None:
        connection = seeker.whose
        resume = self._outstanding.get(connection)
        if resume is None or resume.positions is None or resume.seeker is not seeker:
            # It has left, or asked for something else, while others of the same pass were answered.
            return
        resume.seeker = None
        if seeker.full:
            self._hub.turn_away(connection)
            return
        resume.positions[shard] = seeker.position
        if seeker.fault is not None:
            resume.faults[shard] = seeker.fault
        self._go_on((connection,))

    def _missed(
        self, connection: Connection, form: Form, resume: _Resume, positions: Mapping[int, Position]
    ) -> tuple[dict[str, Mapping[str, str]], frozenset[ResyncReason]]:
        missed: dict[str, Mapping[str, str]] = {}
        reasons = set(resume.faults.values())
        asked = dict(resume.asked)
        for account in connection.account_names():
            shard = shard_of(account, self._shards)
            if shard in resume.faults:
                missed |= resync(form, account, self._unknown_state())
                continue
            recent = self._feeds[shard].window.missed(account, positions[shard])
            found = {**resume.missed.get(account, {}), **recent}
            states = wanted(found, form)
            if ANYTHING in found or len(states) > MAX_PENDING_TYPES:
                missed |= resync(form, account, self._unknown_state())
                asked.pop(shard, None)
                if ANYTHING in found:
                    reasons.add(ResyncReason.SOURCE)
            elif states:
                missed[account] = states
        for shard, question in asked.items():
            now = self._feeds[shard].window.position
            if now is not None and shard not in resume.faults:
                told = {account: missed[account] for account in question.accounts if account in missed}
                self._answers.keep(question, now, told)
        counters = self.counters
        if reasons:
            counters.resync += 1
        elif resume.asked:
            counters.replayed_stream += 1
            self._resumed(connection, "replayed_stream")
        elif missed:
            counters.replayed_window += 1
            self._resumed(connection, "replayed_window")
        else:
            counters.nothing_missed += 1
            self._resumed(connection, "nothing_missed")
        return missed, frozenset(reasons)

    def _answer_fresh(self, connection: Connection) -> None:
        """Whoever has no cursor has missed nothing."""
        self.counters.fresh += 1
        self._resumed(connection, "fresh")
        self._answer(connection, {}, frozenset())

    def _answer(self, connection: Connection, missed: Changed, reasons: frozenset[ResyncReason]) -> None:
        if reasons or connection in self._resyncs:
            held = Held(self._held, sum(map(size_of, missed.values())))
            self._resyncs.add(connection, reasons, (missed, held))
        else:
            self._hub.resume(connection, missed)
