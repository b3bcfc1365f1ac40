"""The hub against a naive model: everything published, in a list, and a ledger per client of what it was told.

The ledger knows nothing of groups, shared frames, budgets and what waits. It says what a client must have been told,
and is asked at every frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.connections import accounts_of, connection_of
from tests.support.sink import FakeSink
from tidings.gateway.codecs import jmap
from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.changes import Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Ends, Form
from tidings.gateway.model.pending import RESYNC_TYPES, Pending
from tidings.ops.budget import Budget
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

SHARDS = 2
CHECK = b"\0\0\0\0"
START = 1000.0
TICK, STEP = 1e-6, 0.0005
"""What passes between two looks at the clock, and where the hub is to run out of time."""
SLACK = 20 * STEP
"""Writes of one call share the time that it looked up at its beginning."""
Key = tuple[str, str]
"""Account and data type."""


ACCOUNTS = [*accounts_of(0, SHARDS), *accounts_of(1, SHARDS)]
FORMS = [
    Form(types, jmap.state_changes, ends, greets)
    for types in (None, frozenset({"Email"}), frozenset({"Mailbox", "Thread"}))
    for ends, greets in ((Ends.NEVER, True), (Ends.WITH_CHANGE, True), (Ends.AT_ONCE, True), (Ends.AT_ONCE, False))
]
LASTING = [form for form in FORMS if form.ends is Ends.NEVER]
CLIENT = st.integers(0, 11)


@dataclass(eq=False)
class Client:
    """What one client asked for and has heard. States are numbers that grow with time, whatever they are of."""

    connection: Connection
    accounts: tuple[str, ...]
    form: Form
    since: Mapping[int, int] | None
    """The cursor it resumes from: offsets by shard."""
    first: dict[Key, int] = field(default_factory=dict)
    """The least state it has to be told of."""
    told: dict[Key, int] = field(default_factory=dict)
    resynchronised: dict[Key, int] = field(default_factory=dict)
    """It has to be told of a state that is at least this, which is nobody's."""
    cursor: dict[int, int] = field(default_factory=dict)
    frames: int = 0
    pushed_at: float = float("-inf")
    muted: bool = False
    resuming: bool = True
    held: bool = False
    """It has to resynchronise, and waits for its turn."""
    answered: bool = False
    """It is being answered just now: what it asked for is not put off."""

    def wants(self, account: str, name: str) -> bool:
        return account in self.accounts and (self.form.types is None or name in self.form.types)

    def asked_for(self) -> Iterator[Key]:
        names = ("Email", "Mailbox", "Thread")
        return ((account, name) for account in self.accounts for name in names if self.wants(account, name))


class Model(FakeSink, RuleBasedStateMachine):
    """Rules are what can happen to a hub; the machine is its sink, its witness and its clock."""

    def __init__(self) -> None:
        FakeSink.__init__(self)
        RuleBasedStateMachine.__init__(self)
        self.now, self.step = START, TICK
        self.number = 0
        self.log: dict[int, list[list[tuple[str, str, int]]]] = {shard: [[]] for shard in range(SHARDS)}
        self.clients: dict[Connection, Client] = {}
        self.gone: list[Client] = []
        self.dying: set[Connection] = set()
        # Groups of a few connections are then more than one chunk.
        self.chunk = patch("tidings.gateway.hub.sending.CHUNK", 2)
        self.chunk.start()

    @initialize(interval=st.sampled_from([0.0, 0.1]), budget=st.sampled_from([STEP, 2 * STEP, 1.0]), slow=st.booleans())
    def start(self, interval: float, budget: float, slow: bool) -> None:
        self.interval = interval
        self.step = STEP if slow else TICK
        self.held = Budget().account("resumes")
        self.hub = Hub(
            shards=SHARDS,
            interval=interval,
            budget=budget,
            sink=self,
            witness=self,
            clock=self.clock,
            unknown_state=lambda: str(self.next_state()),
            waiting=self.held,
        )
        for shard in range(SHARDS):
            self.hub.place(shard, Position(0, CHECK))

    def teardown(self) -> None:
        self.settle()
        self.chunk.stop()

    # What the hub is given.

    def clock(self) -> float:
        self.now += self.step
        return self.now

    def next_state(self) -> int:
        self.number += 1
        return self.number

    def hear(self, connection: Connection, frame: bytes) -> None:
        assert connection in self.clients, "written to after its end"
        if connection in self.dying:
            self.forget(connection)
        else:
            message = json.loads(frame)
            self.told(self.clients[connection], message["changed"], message["pushState"])

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        for connection in connections:
            ends = self.clients[connection].form.ends
            assert ends is Ends.AT_ONCE or (ends is Ends.WITH_CHANGE and changed)
            self.forget(connection)

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        assert connections
        assert START <= pending.consumed <= now, "the latency of something that was never consumed"
        assert pending.changed_at is None or pending.changed_at < pending.consumed

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        assert START <= consumed <= now, "the latency of something that was never consumed"
        for connection, change in zip(connections, told, strict=True):
            assert change.account == connection.accounts
            assert change.changed_at is None or change.changed_at < consumed

    def merged(self, connection: Connection, account: str, count: int) -> None:
        assert count > 0

    # What the model knows.

    def told(self, client: Client, changed: Mapping[str, Mapping[str, str]], push_state: str) -> None:
        """Everything that must be so of any frame."""
        assert not client.muted, "told after it unsubscribed"
        assert client.answered or not client.resuming, "told before it was resumed"
        assert client.answered or not client.held, "told before its turn"
        assert client.answered or client.connection not in self.blocked, "written to while blocked"
        if changed and not client.answered:
            assert self.now - client.pushed_at >= self.interval - SLACK, "pushed to twice within an interval"
        client.frames += 1
        client.pushed_at = self.now
        for account, states in changed.items():
            assert states, "an account of which nothing changed"
            for name, state in states.items():
                assert client.wants(account, name), "told of what it did not ask for"
                # What a client missed since its cursor may be more than it was not told of.
                least = client.told.get((account, name), 0) + (not client.answered)
                assert int(state) >= least, "told of an older state after a newer one"
                client.told[account, name] = int(state)
        shards, positions = cursor.decode(push_state)
        assert shards == SHARDS
        client.cursor = {shard: position.offset for shard, position in positions.items()}
        assert set(client.cursor) == {shard_of(account, SHARDS) for account in client.accounts}
        assert self.is_told(client, client.cursor), "the cursor covers what it was not told"

    def newest(self, offsets: Mapping[int, int]) -> dict[Key, int]:
        """The newest states up to some offsets."""
        return {
            (account, name): state
            for shard, offset in offsets.items()
            for batch in self.log[shard][: offset + 1]
            for account, name, state in batch
        }

    def is_told(self, client: Client, offsets: Mapping[int, int]) -> bool:
        """Whether a client has been told everything up to some offsets that it has to be told."""
        newest = self.newest(offsets)
        return all(
            newest.get(key, 0) < client.first[key] or client.told.get(key, 0) >= newest[key]
            for key in client.asked_for()
        )

    def tail(self) -> dict[int, int]:
        return {shard: len(batches) - 1 for shard, batches in self.log.items()}

    def missed(self, client: Client) -> dict[str, dict[str, str]]:
        """What the log holds beyond a client's cursor."""
        found: dict[str, dict[str, str]] = {}
        for shard, offset in (client.since or {}).items():
            for batch in self.log[shard][offset + 1 :]:
                for account, name, state in batch:
                    if client.wants(account, name):
                        found.setdefault(account, {})[name] = str(state)
        return found

    def owe(self, client: Client) -> None:
        """From now on, or from its cursor on, it has to be told of what it asks for and did not ask for before."""
        for account, name in client.asked_for():
            shard = shard_of(account, SHARDS)
            since = 0
            if client.since is None:
                since = self.number
            elif batches := [batch for batch in self.log[shard][: client.since[shard] + 1] if batch]:
                since = batches[-1][-1][2]
            client.first.setdefault((account, name), since + 1)

    def forget(self, connection: Connection) -> None:
        """Its end, whoever brought it about."""
        client = self.clients.pop(connection)
        for those in (self.blocked, self.blocking, self.dying):
            those.discard(connection)
        self.hub.remove(connection)
        if client.frames:
            self.gone.append(client)

    def pick(self, index: int) -> Client:
        return list(self.clients.values())[index % len(self.clients)]

    def run_due(self) -> None:
        if self.due is not None and self.due <= self.now:
            self.due = None
            self.hub.expire()

    def settle(self) -> None:
        """Everybody reads, and time passes; then everybody has been told everything, and nothing waits."""
        self.step = TICK
        self.blocking.clear()
        self.dying.clear()
        for client in list(self.clients.values()):
            if client.resuming and not client.muted:
                self.answer(client)
            if client.held and not client.muted:
                self.let_go(client)
            if client.connection in self.blocked:
                self.read(client)
        while self.deferred or self.due is not None:
            if self.deferred:
                self.deferred = False
                self.hub.drain()
            elif self.due is not None:
                self.now = max(self.now, self.due)
                self.run_due()
        for client in self.clients.values():
            if not client.muted:
                assert self.is_told(client, self.tail())
                assert all(client.told[key] >= state for key, state in client.resynchronised.items())
                assert client.connection.pending is None

    # What can happen.

    @rule(
        accounts=st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3, unique=True),
        form=st.sampled_from(FORMS),
        at_once=st.booleans(),
    )
    def connect(self, accounts: list[str], form: Form, at_once: bool) -> None:
        self.join(Client(connection_of(*accounts), tuple(accounts), form, None), at_once)

    @precondition(lambda self: self.gone)
    @rule(index=CLIENT, at_once=st.booleans())
    def come_back(self, index: int, at_once: bool) -> None:
        old = self.gone.pop(index % len(self.gone))
        new = Client(connection_of(*old.accounts), old.accounts, old.form, old.cursor, dict(old.first), dict(old.told))
        self.join(new, at_once)

    def join(self, client: Client, at_once: bool) -> None:
        connection = client.connection
        self.owe(client)
        self.clients[connection] = client
        self.hub.add(connection, client.form)
        if at_once:
            self.answer(client)

    def answer(self, client: Client) -> None:
        missed = self.missed(client)
        before, dying = client.frames, client.connection in self.dying
        client.answered = True
        self.hub.resume(client.connection, missed)
        client.answered = client.resuming = client.held = False
        assert client.frames == before + 1 or dying or not (client.form.greets or missed)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def resume(self, index: int) -> None:
        client = self.pick(index)
        if client.resuming and not client.muted:
            self.answer(client)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT, form=st.sampled_from(LASTING), resumes=st.booleans(), at_once=st.booleans())
    def subscribe_again(self, index: int, form: Form, resumes: bool, at_once: bool) -> None:
        client = self.pick(index)
        if client.form.ends is not Ends.NEVER:
            return
        client.form = form
        client.since = client.cursor if resumes and client.cursor else None
        if client.resuming and client.since is None:
            # It has given up what it missed, before it was told.
            client.first.clear()
        client.first = {key: state for key, state in client.first.items() if key in set(client.asked_for())}
        client.resynchronised = {key: state for key, state in client.resynchronised.items() if key in client.first}
        client.muted, client.resuming = False, True
        self.owe(client)
        self.hub.add(client.connection, form)
        if at_once:
            self.answer(client)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def unsubscribe(self, index: int) -> None:
        client = self.pick(index)
        if client.form.ends is Ends.NEVER:
            client.muted = True
            client.first.clear()
            client.resynchronised.clear()
            client.held = False
            self.hub.remove(client.connection)

    @rule(
        shard=st.sampled_from(range(SHARDS)),
        changes=st.lists(
            st.tuples(st.integers(0, 1), st.sets(st.sampled_from(["Email", "Mailbox", "Thread"]), min_size=1)),
            min_size=1,
            max_size=4,
        ),
    )
    def publish(self, shard: int, changes: list[tuple[int, set[str]]]) -> None:
        batch: list[tuple[str, str, int]] = []
        told: list[Told] = []
        for index, names in changes:
            account = accounts_of(shard, SHARDS)[index]
            states = {name: self.next_state() for name in sorted(names)}
            batch += [(account, name, state) for name, state in states.items()]
            told.append(Told(account, {name: str(state) for name, state in states.items()}, self.now - 1))
        ready = [client for client in self.clients.values() if self.is_ready(client)]
        frames = {client: client.frames for client in ready}
        self.log[shard].append(batch)
        self.hub.publish(shard, Position(len(self.log[shard]) - 1, CHECK), told, self.now)
        for client in ready:
            wanted = any(client.wants(account, name) for account, name, _ in batch)
            assert (client.frames > frames[client]) == wanted, "the first change after a pause is told at once"

    def is_ready(self, client: Client) -> bool:
        """Whether nothing puts off what it is told."""
        unhindered = not (client.muted or client.resuming or client.held or self.deferred or self.step == STEP)
        sound = not {client.connection} & (self.blocked | self.blocking | self.dying)
        return unhindered and sound and self.now - client.pushed_at > self.interval + SLACK

    @rule(shard=st.sampled_from(range(SHARDS)))
    def mark(self, shard: int) -> None:
        self.log[shard].append([])
        self.hub.place(shard, Position(len(self.log[shard]) - 1, CHECK))

    @rule(shard=st.sampled_from(range(SHARDS)))
    def lose_track(self, shard: int) -> None:
        at_least = self.number + 1
        held = self.hub.resync(self.hub.accounts(shard))
        for client in self.clients.values():
            client.held |= client.connection in held
            for account, name in client.asked_for():
                if not client.muted and shard_of(account, SHARDS) == shard and name in RESYNC_TYPES:
                    client.resynchronised[account, name] = at_least

    def let_go(self, client: Client) -> None:
        client.held = False
        self.hub.release(client.connection)

    @precondition(lambda self: any(client.held and not client.resuming for client in self.clients.values()))
    @rule(index=CLIENT)
    def release(self, index: int) -> None:
        held = [client for client in self.clients.values() if client.held and not client.resuming]
        self.let_go(held[index % len(held)])

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def stop_reading(self, index: int) -> None:
        connection = self.pick(index).connection
        if connection not in self.blocked:
            self.blocking.add(connection)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def read_again(self, index: int) -> None:
        client = self.pick(index)
        if client.connection in self.blocked:
            self.read(client)

    def read(self, client: Client) -> None:
        self.blocked.discard(client.connection)
        self.hub.unblocked(client.connection)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def vanish(self, index: int) -> None:
        self.dying.add(self.pick(index).connection)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def disconnect(self, index: int) -> None:
        self.forget(self.pick(index).connection)

    @precondition(lambda self: self.clients)
    @rule(index=CLIENT)
    def refresh(self, index: int) -> None:
        client = self.pick(index)
        before, dying = client.frames, client.connection in self.dying
        refreshed = self.hub.refresh(client.connection)
        assert client.frames == before + (refreshed and not dying)

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.2]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.run_due()

    @precondition(lambda self: self.deferred)
    @rule()
    def drain(self) -> None:
        self.deferred = False
        self.hub.drain()

    @rule()
    def everybody_reads(self) -> None:
        step = self.step
        self.settle()
        self.step = step


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, report_multiple_bugs=False)
