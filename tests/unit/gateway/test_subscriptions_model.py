"""Everything between the log and the wire against a ledger: what was appended, and what each client knows.

Two gateways read one log, in virtual time. The ledger knows nothing of cursors, windows and feeds. A client knows of a
data type what it was told last; or, when it was told to resynchronise, all that had happened by then, for it fetches.
In the end each has to know of the last change of everything that it asks for.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from secrets import token_bytes
from typing import Any, cast
from unittest.mock import patch

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.connections import accounts_of, connection_of
from tests.support.sink import FakeSink
from tests.support.unreliable import UnreliableLog
from tests.support.virtual import VirtualLoop, virtual_time
from tidings.bus import memory
from tidings.errors import LogUnavailable
from tidings.gateway.codecs import jmap
from tidings.gateway.driver import Driver
from tidings.gateway.feeds import feed as feeds
from tidings.gateway.feeds import log_clock, window
from tidings.gateway.feeds.feed import Feed, FeedCounters
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.rounds import Rounds
from tidings.gateway.feeds.window import Window
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.connection import Connection
from tidings.gateway.net.reactor import Reactor
from tidings.gateway.resume import replay, resumes, toll
from tidings.gateway.subscriptions import Subscriptions
from tidings.ops.budget import UNBOUNDED, Budget
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

SHARDS = 2
TYPES = ("Email", "Mailbox", "Thread")
Key = tuple[str, str]
"""Account and data type."""


ACCOUNTS = [*accounts_of(0, SHARDS), *accounts_of(1, SHARDS)]


@dataclass(eq=False)
class Client:
    """One client through all its connections."""

    accounts: tuple[str, ...]
    types: frozenset[str] | None
    since: str | None = None
    connection: Connection | None = None
    gateway: Gateway | None = None
    known: dict[Key, int] = field(default_factory=dict)
    """The number of the last change that it knows of."""
    frames: list[tuple[str, dict[Key, int]]] = field(default_factory=list)
    """Each frame's cursor, and what it knew then."""
    reads: bool = True

    def asked_for(self) -> list[Key]:
        names = TYPES if self.types is None else sorted(self.types)
        return [(account, name) for account in self.accounts for name in names]


class Gateway(FakeSink):
    """Hub, feeds and all that is between them, over wires that end in the ledger."""

    def __init__(self, world: World, resync_rate: float) -> None:
        super().__init__()
        self.world = world
        self.clients: dict[Connection, Client] = {}
        self.feed_counters = FeedCounters()
        self.windows = Windows(Budget().account("windows", most=world.window_bytes))
        self.rounds = Rounds()
        self.clock = LogClock()
        driver = Driver(cast("Reactor", self))
        self.held = Budget().account("resumes")
        self.hub = Hub(
            shards=SHARDS,
            interval=0.1,
            budget=1.0,
            sink=driver,
            witness=self,
            clock=world.loop.time,
            unknown_state=lambda: "resync",
            waiting=self.held,
        )
        driver.start(self.hub)
        self.subscriptions = Subscriptions(
            world.log, self.hub, self.feed, lambda: "resync", resync_rate, self.hear_outcome, self.held
        )

    def feed(self, shard: int) -> Feed:
        return Feed(
            self.world.log,
            shard,
            self.subscriptions,
            self.feed_counters,
            lambda _batch, _at: None,
            self.windows,
            self.clock,
            self.rounds,
        )

    def hear(self, connection: Connection, frame: bytes) -> None:
        client = self.clients.get(connection)
        if client is None:
            # This gateway was killed.
            return
        self.world.hear(client, frame)
        if not client.reads and connection not in self.blocked:
            self.blocking.add(connection)

    def hear_outcome(self, *_: object) -> None:
        pass

    def connect(self, client: Client) -> None:
        connection = client.connection = connection_of(*client.accounts)
        client.gateway = self
        self.clients[connection] = client
        form = self.subscriptions.form(client.types, jmap.state_changes)
        self.subscriptions.subscribe(connection, form, client.since)

    def disconnect(self, client: Client) -> None:
        assert client.connection is not None
        self.subscriptions.unsubscribe(client.connection)
        self.blocked.discard(client.connection)
        del self.clients[client.connection]
        client.connection = client.gateway = None


class World:
    """The log, its ledger, and what becomes of clients."""

    def __init__(self, loop: VirtualLoop, resync_rate: float = 0.0, window_bytes: int = UNBOUNDED) -> None:
        self.loop = loop
        self.window_bytes = window_bytes
        self.resync_rate = resync_rate
        self.log = UnreliableLog(SHARDS)
        self.number = 0
        self.last: dict[Key, int] = {}
        self.clients: list[Client] = []
        self.run(0.0, self.log.open())
        self.gateways = [self.gateway(), self.gateway()]

    def gateway(self) -> Gateway:
        async def make() -> Gateway:
            return Gateway(self, self.resync_rate)

        return self.loop.run_until_complete(make())

    def run(self, seconds: float, *before: object) -> None:
        """Let some time pass, after awaiting or calling what is given."""

        async def wait() -> None:
            for one in before:
                await one if asyncio.iscoroutine(one) else cast("Callable[[], object]", one)()
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(wait())

    def hear(self, client: Client, frame: bytes) -> None:
        message = json.loads(frame)
        told: Mapping[str, Mapping[str, str]] = message["changed"]
        for account, states in told.items():
            assert account in client.accounts
            for name, state in states.items():
                assert client.types is None or name in client.types
                client.known[account, name] = self.number if state == "resync" else int(state)
        if client.since is None:
            # It comes for the first time and fetches everything.
            client.known = dict.fromkeys(client.asked_for(), self.number)
        client.since = message["pushState"]
        client.frames.append((client.since, dict(client.known)))

    def append(self, shard: int, changes: Sequence[tuple[int, frozenset[str]]]) -> None:
        entries, numbers = [], {}
        for index, names in changes:
            account = accounts_of(shard, SHARDS)[index]
            changed: dict[str, str | None] = {}
            for name in sorted(names):
                self.number += 1
                changed[name] = str(self.number)
                numbers[account, name] = self.number
            entries.append(Change(account, changed, "FlagsSet", "1", "test"))
        payload = batch.encode(token_bytes(16), self.loop.unix(), tuple(entries))
        try:
            self.run(0.0, self.log.append(shard, payload))
        except LogUnavailable:
            return
        self.last |= numbers

    def settle(self) -> None:
        """Time passes, nothing gets in the way; then nobody waits, and everybody knows of everything."""
        self.log.accepts = True
        for gateway in self.gateways:
            for client in gateway.clients.values():
                self.read(client)
        self.run(60.0)
        # Passes are short here and windows hold hardly anything: whoever has had too much read waits, but not for ever.
        for _ in range(10):
            if any(len(gateway.subscriptions.resumes.toll) for gateway in self.gateways):
                self.run(60.0)
        for gateway in self.gateways:
            assert len(gateway.subscriptions.resumes) == len(gateway.subscriptions.resyncs) == 0
            for client in gateway.clients.values():
                missed = {key for key in client.asked_for() if client.known[key] < self.last.get(key, 0)}
                assert not missed, f"{missed} of {self.last}, but {client.known}"

    def read(self, client: Client) -> None:
        client.reads = True
        if client.gateway is not None and client.connection in client.gateway.blocked:
            client.gateway.blocked.discard(client.connection)
            self.run(0.0, lambda: client.gateway.hub.unblocked(client.connection))

    def kill(self, index: int) -> None:
        """A gateway dies; another takes its place."""
        old = self.gateways[index]
        for client in tuple(old.clients.values()):
            client.connection = client.gateway = None
        old.clients.clear()
        self.loop.run_until_complete(old.subscriptions.stop())
        self.gateways[index] = self.gateway()

    def resyncs(self) -> Counter[str]:
        return sum((Counter(gateway.subscriptions.resyncs.told) for gateway in self.gateways), Counter())

    def outcomes(self, outcome: str) -> int:
        return sum(getattr(gateway.subscriptions.resumes.counters, outcome) for gateway in self.gateways)

    def close(self) -> None:
        for gateway in self.gateways:
            self.loop.run_until_complete(gateway.subscriptions.stop())
        self.loop.run_until_complete(self.log.close())
        self.run(1.0)


class Small(ExitStack):
    """Virtual time, and windows and passes so small that everything happens."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = self.enter_context(virtual_time(memory, feeds, log_clock, replay, resumes, toll))
        for module, name, value in (
            (feeds, "WINDOW_SECONDS", 8.0),
            (window, "PART_CHANGES", 0),
            (window, "MAX_PARTS", 4),
            (replay, "PASS_ENTRIES", 3),
            (replay, "MAX_READS", 1),
        ):
            self.enter_context(patch.object(module, name, value))
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        self.callback(structlog.reset_defaults)


CHANGES = st.lists(
    st.tuples(st.integers(0, 1), st.frozensets(st.sampled_from(TYPES), min_size=1)), min_size=1, max_size=3
)
INDEX = st.integers(0, 11)
SHARD = st.integers(0, SHARDS - 1)
PAUSE = st.sampled_from([1.0, 0.2, 4.0])
SECONDS = st.sampled_from([0.0, 0.05, 0.2, 1.0, 3.0, 10.0])
WISHES = st.sampled_from([None, frozenset({"Email"}), frozenset({"Mailbox", "Thread"})])


class Model(RuleBasedStateMachine):
    """Rules are what can happen to gateways, their clients and the log."""

    def __init__(self) -> None:
        super().__init__()
        self.small = Small()
        self.lossy = False
        """Something happened after which nobody can say what was missed."""

    @initialize(resync_rate=st.sampled_from([0.0, 1.0]), window_bytes=st.sampled_from([UNBOUNDED, 10_000, 1]))
    def start(self, resync_rate: float, window_bytes: int) -> None:
        self.world = World(self.small.loop, resync_rate, window_bytes)
        for index, account in enumerate(ACCOUNTS):
            self.connect([account], None, index % 2)
        self.world.run(1.0)

    def teardown(self) -> None:
        with self.small:
            if hasattr(self, "world"):
                self.small.callback(self.world.close)
                self.world.settle()
                told = self.world.resyncs()
                assert self.lossy or not told, f"told to resynchronise though the log has everything: {told}"

    def pick(self, index: int, *, connected: bool) -> Any:
        """One of the clients, None where there is none."""
        found = [client for client in self.world.clients if (client.gateway is not None) == connected]
        return found[index % len(found)] if found else None

    @rule(
        accounts=st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3, unique=True),
        types=WISHES,
        gateway=st.integers(0, 1),
    )
    def connect(self, accounts: list[str], types: frozenset[str] | None, gateway: int) -> None:
        client = Client(tuple(accounts), types)
        self.world.clients.append(client)
        self.world.run(0.0, lambda: self.world.gateways[gateway].connect(client))

    @precondition(lambda self: self.pick(0, connected=True))
    @rule(index=INDEX)
    def disconnect(self, index: int) -> None:
        client = self.pick(index, connected=True)
        self.world.run(0.0, lambda: client.gateway.disconnect(client))

    @precondition(lambda self: self.pick(0, connected=False))
    @rule(index=INDEX, gateway=st.integers(0, 1))
    def come_back(self, index: int, gateway: int) -> None:
        client = self.pick(index, connected=False)
        client.reads = True
        self.world.run(0.0, lambda: self.world.gateways[gateway].connect(client))

    @precondition(lambda self: self.pick(0, connected=True))
    @rule(index=INDEX, gateway=st.integers(0, 1), changes=st.lists(CHANGES, max_size=8), before=PAUSE, seconds=SECONDS)
    def miss_something(
        self, index: int, gateway: int, changes: list[list[tuple[int, frozenset[str]]]], before: float, seconds: float
    ) -> None:
        self.world.run(before)
        client = self.pick(index, connected=True)
        self.world.run(0.0, lambda: client.gateway.disconnect(client))
        for some in changes:
            self.world.append(shard_of(client.accounts[0], SHARDS), some)
        self.world.run(seconds)
        client.reads = True
        self.world.run(0.0, lambda: self.world.gateways[gateway].connect(client))

    @rule(shard=SHARD, changes=CHANGES)
    def append(self, shard: int, changes: list[tuple[int, frozenset[str]]]) -> None:
        self.world.append(shard, changes)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    @precondition(lambda self: self.pick(0, connected=True))
    @rule(index=INDEX)
    def stop_or_begin_to_read(self, index: int) -> None:
        client = self.pick(index, connected=True)
        if client.reads:
            client.reads = False
        else:
            self.world.read(client)

    @rule(index=st.integers(0, 1))
    def kill_gateway(self, index: int) -> None:
        self.world.kill(index)

    @rule(shard=SHARD, fault=st.sampled_from(["mute", "cut"]), changes=CHANGES)
    def lose_readers(self, shard: int, fault: str, changes: list[tuple[int, frozenset[str]]]) -> None:
        getattr(self.world.log, fault)(shard)
        self.world.append(shard, changes)

    @rule()
    def block_or_take_appends(self) -> None:
        self.world.log.accepts = not self.world.log.accepts

    @rule(shard=SHARD, keep=st.integers(0, 3), cut=st.booleans())
    def retention(self, shard: int, keep: int, cut: bool) -> None:
        self.lossy = True
        self.world.log.trim(shard, keep)
        if cut:
            self.world.log.cut(shard)

    @rule(shard=SHARD, before=CHANGES, after=st.lists(CHANGES, max_size=4))
    def recreate(
        self, shard: int, before: list[tuple[int, frozenset[str]]], after: list[list[tuple[int, frozenset[str]]]]
    ) -> None:
        self.lossy = True
        self.world.append(shard, before)
        self.world.log.recreate(shard)
        self.world.log.cut(shard)
        for changes in after:
            self.world.append(shard, changes)

    @precondition(lambda self: self.pick(0, connected=False))
    @rule(index=INDEX, cursor=st.sampled_from(["", "nonsense", "AQg", "AUAHAmdx5dU"]))
    def forge_a_cursor(self, index: int, cursor: str) -> None:
        self.lossy = True
        client = self.pick(index, connected=False)
        client.since = cursor
        client.known = dict.fromkeys(client.asked_for(), 0)

    @rule()
    def settle(self) -> None:
        self.world.settle()


QUICK = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
TestModel = Model.TestCase
TestModel.settings = QUICK


def test_a_resume_that_forgets_what_was_missed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "missed", lambda *_: {})
    once = settings(QUICK, max_examples=500, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(AssertionError, match="Email"):
        run_state_machine_as_test(Model, settings=once)


STEPS = st.lists(
    st.one_of(st.tuples(SHARD, CHANGES, st.sampled_from([0.0, 0.05, 0.2, 3.0])), st.sampled_from(["mute", "cut"])),
    min_size=1,
    max_size=12,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_cut_after_any_frame_its_cursor_brings_back_everything(
    steps: list[tuple[int, list[tuple[int, frozenset[str]]], float] | str],
) -> None:
    """On any gateway: the one that told it, another one, and one that has just started."""
    with Small() as small:
        world = World(small.loop)
        small.callback(world.close)
        first, _, third, fourth = ACCOUNTS
        told = [Client((first,), None), Client((fourth, first), frozenset({"Email"})), Client((first, third), None)]
        for client in told:
            world.run(0.5, partial(world.gateways[0].connect, client))
        for step in steps:
            if isinstance(step, str):
                for shard in range(SHARDS):
                    getattr(world.log, step)(shard)
            else:
                shard, changes, seconds = step
                world.append(shard, changes)
                world.run(seconds)
        world.settle()
        world.kill(1)
        for client in told:
            assert client.frames
            for cursor, known in client.frames:
                for gateway in world.gateways:
                    back = Client(client.accounts, client.types, cursor, known=dict(known))
                    world.run(0.0, partial(gateway.connect, back))
        world.settle()
        assert not world.resyncs(), "the log has everything"
