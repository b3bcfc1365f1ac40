from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.connections import connection_of
from tests.support.sink import FakeSink
from tidings.gateway.codecs import jmap
from tidings.gateway.hub.hub import Hub
from tidings.gateway.hub.sending import CHUNK
from tidings.gateway.model.changes import Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Ends, Form
from tidings.gateway.model.held import SMALL_BYTES, size_of
from tidings.gateway.model.pending import MAX_PENDING_TYPES, Pending
from tidings.ops.budget import Budget
from tidings.wire import cursor
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

SHARDS = 4
CHECK = b"\0\0\0\0"


class Clock:
    """Advances by `step` at every look."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Wires(FakeSink):
    """Remembers what each connection was sent, how it ended, and what the hub tells of its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: defaultdict[Connection, list[dict[str, object]]] = defaultdict(list)
        self.finished: list[tuple[Connection, bool]] = []
        self.failed: list[Connection] = []
        self.latencies: list[tuple[int, float, float, float | None]] = []
        self.merges: list[tuple[str, int]] = []

    def hear(self, connection: Connection, frame: bytes) -> None:
        self.frames[connection].append(json.loads(frame))

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        for connection in connections:
            self.finished.append((connection, changed))
            self.hub.remove(connection)

    def fail(self, connections: Sequence[Connection], error: Exception) -> None:
        for connection in connections:
            self.failed.append(connection)
            self.hub.remove(connection)

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        self.latencies.append((len(connections), now, pending.consumed, pending.changed_at))

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        for connection, change in zip(connections, told, strict=True):
            assert change.account == connection.accounts
            self.latencies.append((1, now, consumed, change.changed_at))

    def merged(self, connection: Connection, account: str, count: int) -> None:
        assert account in connection.account_names()
        self.merges.append((account, count))


class World:
    """A hub, its wires and clock, and the log it is fed from."""

    def __init__(self, interval: float = 0.0, budget: float = 1.0) -> None:
        self.clock = Clock()
        self.wires = Wires()
        self.states = 0
        self.held = Budget().account("resumes")
        self.hub = self.wires.hub = Hub(
            shards=SHARDS,
            interval=interval,
            budget=budget,
            sink=self.wires,
            witness=self.wires,
            clock=self.clock,
            unknown_state=self.unknown,
            waiting=self.held,
        )
        self.interval = interval
        self.log: dict[int, list[Sequence[Told]]] = {shard: [()] for shard in range(SHARDS)}
        for shard in range(SHARDS):
            self.hub.place(shard, Position(0, CHECK))
        self.forms: dict[frozenset[str] | None, Form] = {}

    def unknown(self) -> str:
        self.states += 1
        return f"unknown{self.states}"

    def form(self, *types: str) -> Form:
        key = frozenset(types) or None
        return self.forms.setdefault(key, Form(key, jmap.state_changes))

    def connect(self, *accounts: str, types: tuple[str, ...] = ()) -> Connection:
        connection = connection_of(*accounts)
        self.hub.add(connection, self.form(*types))
        self.hub.resume(connection, {})
        return connection

    def publish(self, *changes: tuple[str, dict[str, str]]) -> None:
        """Publish one batch; all accounts must share a shard."""
        shard = shard_of(changes[0][0], SHARDS)
        told = [Told(account, changed, self.clock.now - 1) for account, changed in changes]
        self.log[shard].append(told)
        self.hub.publish(shard, Position(len(self.log[shard]) - 1, CHECK), told, self.clock.now)

    def settle(self) -> None:
        """Let every interval end and everybody read."""
        for connection in tuple(self.wires.blocked):
            self.unblock(connection)
        while self.wires.deferred or self.wires.due is not None:
            if self.wires.deferred:
                self.wires.deferred = False
                self.hub.drain()
            else:
                assert self.wires.due is not None
                self.clock.now = max(self.clock.now, self.wires.due) + 1e-6
                self.wires.due = None
                self.hub.expire()

    def unblock(self, connection: Connection) -> None:
        self.wires.blocked.discard(connection)
        self.hub.unblocked(connection)

    def changes(self, connection: Connection) -> list[object]:
        """The `changed` of every frame after the hello."""
        return [frame["changed"] for frame in self.wires.frames[connection][1:]]


def offset(frame: Mapping[str, object], account: str) -> int:
    push_state = frame["pushState"]
    assert isinstance(push_state, str)
    shards, positions = cursor.decode(push_state)
    assert shards == SHARDS
    return positions[shard_of(account, SHARDS)].offset


def together(count: int) -> list[str]:
    """Accounts of one shard."""
    names = (f"user{number}" for number in range(1000))
    return [name for name in names if shard_of(name, SHARDS) == 1][:count]


A, B = together(2)


def test_a_subscription_begins_with_an_empty_state_change_and_the_cursor() -> None:
    world = World()
    connection = world.connect(A)
    assert world.wires.frames[connection][0]["changed"] == {}
    assert offset(world.wires.frames[connection][0], A) == 0


def test_who_resumes_can_be_asked_and_what_cursor_an_account_has() -> None:
    world = World()
    connection = connection_of(A)
    world.hub.add(connection, world.form())
    assert world.hub.is_resuming(connection)
    world.hub.resume(connection, {})
    assert not world.hub.is_resuming(connection)
    assert world.hub.cursor(A) == world.wires.frames[connection][0]["pushState"]


def test_everybody_of_an_account_is_told_and_nobody_else() -> None:
    world = World()
    first, second, other = world.connect(A), world.connect(A), world.connect(B)
    world.publish((A, {"Email": "1"}))
    assert world.changes(first) == world.changes(second) == [{A: {"Email": "1"}}]
    assert world.changes(other) == []
    assert offset(world.wires.frames[first][1], A) == 1
    assert (world.hub.counters.matched, world.hub.counters.pushed) == (2, 2)
    assert world.wires.latencies == [(2, 1000.0, 1000.0, 999.0)]


def test_types_not_asked_for_are_left_out() -> None:
    world = World()
    mail, boxes, everything = (
        world.connect(A, types=("Email", "Thread")),
        world.connect(A, types=("Mailbox",)),
        world.connect(A),
    )
    world.publish((A, {"Email": "1", "Quota": "2"}))
    assert world.changes(mail) == [{A: {"Email": "1"}}]
    assert world.changes(boxes) == []
    assert world.changes(everything) == [{A: {"Email": "1", "Quota": "2"}}]


def test_interval_zero_pushes_every_change_and_only_the_last_carries_the_batchs_cursor() -> None:
    world = World()
    connection = world.connect(A, B)
    world.publish((A, {"Email": "1"}), (A, {"Email": "2"}), (B, {"Email": "3"}))
    frames = world.wires.frames[connection][1:]
    assert [frame["changed"] for frame in frames] == [
        {A: {"Email": "1"}},
        {A: {"Email": "2"}},
        {B: {"Email": "3"}},
    ]
    assert [offset(frame, A) for frame in frames] == [0, 0, 1]


def test_the_leading_edge_goes_at_once_and_the_rest_is_one_push() -> None:
    world = World(interval=0.1)
    connection = world.connect(A)
    world.settle()
    for state in ("1", "2", "3"):
        world.publish((A, {"Email": state}), (A, {"Mailbox": state}))
    assert world.changes(connection) == [{A: {"Email": "1", "Mailbox": "1"}}]
    world.settle()
    assert world.changes(connection)[1:] == [{A: {"Email": "3", "Mailbox": "3"}}]
    assert offset(world.wires.frames[connection][2], A) == 3
    assert world.hub.counters.coalesced == 1
    assert world.wires.merges == [(A, 1)]


def test_expire_leaves_those_that_were_told_again_meanwhile() -> None:
    world = World(interval=0.1)
    connection = world.connect(A)
    world.hub.expire()
    world.clock.now += 0.05
    other = world.connect(B)
    world.clock.now += 0.06
    world.hub.expire()
    assert world.wires.due == pytest.approx(1000.15)
    world.publish((A, {"Email": "1"}))
    world.publish((B, {"Email": "1"}))
    world.hub.drain()
    assert world.changes(connection) == [{A: {"Email": "1"}}]
    assert world.changes(other) == []
    world.settle()
    assert world.changes(other) == [{B: {"Email": "1"}}]


@pytest.mark.parametrize("interval", [0.0, 0.1])
def test_a_blocked_connection_gets_one_coalesced_change(interval: float) -> None:
    world = World(interval=interval)
    connection = world.connect(A)
    world.settle()
    world.wires.blocking.add(connection)
    for state in range(50):
        world.publish((A, {"Email": str(state)}))
    world.clock.now += 1
    world.hub.expire()
    world.hub.drain()
    assert world.changes(connection) == [{A: {"Email": "0"}}]
    world.settle()
    assert world.changes(connection)[1:] == [{A: {"Email": "49"}}]


def test_unblocked_before_its_interval_is_over_it_waits_for_that() -> None:
    world = World(interval=0.1)
    connection = world.connect(A)
    world.settle()
    world.wires.blocking.add(connection)
    world.publish((A, {"Email": "1"}))
    world.publish((A, {"Email": "2"}))
    world.unblock(connection)
    world.hub.drain()
    assert len(world.changes(connection)) == 1
    world.settle()
    assert world.changes(connection)[1:] == [{A: {"Email": "2"}}]


def test_a_blocked_connection_that_subscribes_again_stays_one_that_waits() -> None:
    world = World()
    connection = world.connect("alice")
    world.wires.blocking.add(connection)
    world.publish(("alice", {"Email": "1"}))
    world.hub.add(connection, world.form())
    world.hub.resume(connection, {})
    written = len(world.wires.frames[connection])
    world.publish(("alice", {"Email": "2"}))
    world.publish(("alice", {"Email": "3"}))
    assert len(world.wires.frames[connection]) == written
    world.settle()
    assert world.wires.frames[connection][-1]["changed"] == {"alice": {"Email": "3"}}


def test_who_changes_again_before_the_rest_is_written_is_told_once_of_both() -> None:
    world = World(budget=0.01)
    connections = [world.connect("alice") for _ in range(3 * CHUNK)]
    world.clock.step = 0.01
    world.publish(("alice", {"Email": "1"}))
    world.clock.step = 0.0
    late = [one for one in connections if one.pending is not None]
    assert late
    world.publish(("alice", {"Email": "2", "Mailbox": "2"}))
    for one in late[: len(late) // 2]:
        world.hub.remove(one)
    world.settle()
    for one in late[len(late) // 2 :]:
        assert [frame["changed"] for frame in world.wires.frames[one]][1:] == [
            {"alice": {"Email": "2", "Mailbox": "2"}}
        ]
    for one in late[: len(late) // 2]:
        assert len(world.wires.frames[one]) == 1


def test_while_a_resume_is_outstanding_changes_only_wait() -> None:
    world = World()
    connection = connection_of(A)
    world.hub.add(connection, world.form())
    world.publish((A, {"Email": "5"}))
    world.hub.unblocked(connection)
    world.hub.drain()
    assert world.wires.frames[connection] == []
    world.hub.resume(connection, {A: {"Email": "4", "Thread": "4"}, B: {"Email": "1"}})
    assert [frame["changed"] for frame in world.wires.frames[connection]] == [
        {A: {"Email": "5", "Thread": "4"}, B: {"Email": "1"}}
    ]


def test_subscribing_again_changes_the_types_of_what_waits() -> None:
    world = World(interval=0.1)
    connection = world.connect(A)
    world.publish((A, {"Email": "1", "Thread": "1"}))
    world.hub.add(connection, world.form("Thread"))
    world.hub.resume(connection, {})
    assert world.changes(connection) == [{A: {"Thread": "1"}}]
    assert len(world.hub.connections(A)) == 1


def test_a_fan_out_beyond_its_budget_marks_the_rest_and_goes_on_later() -> None:
    world = World(budget=1.0)
    connections = [world.connect(A) for _ in range(3 * CHUNK)]
    gone = connections[-1]
    world.clock.step = 0.4
    world.publish((A, {"Email": "1"}), (A, {"Email": "2"}))
    assert world.wires.deferred
    told = [connection for connection in connections if world.changes(connection)]
    assert 0 < len(told) < len(connections)
    world.hub.remove(gone)
    world.settle()
    for connection in connections[:-1]:
        assert world.changes(connection)[-1] == {A: {"Email": "2"}}
        assert offset(world.wires.frames[connection][-1], A) == 1
    assert world.changes(gone) == []


@pytest.mark.parametrize("interval", [0.0, 0.1])
@pytest.mark.parametrize("step", [0.0, 0.0045, 0.011])
def test_a_batch_of_many_accounts_is_told_to_all_of_them_within_the_budget_or_later(
    interval: float, step: float
) -> None:
    world = World(interval, budget=0.01)
    names = together(150)
    crowd = {name: world.connect(name) for name in names}
    world.settle()
    world.clock.now += 1
    world.clock.step = step
    world.publish(*[(name, {"Email": name}) for name in names])
    told = sum(bool(world.changes(connection)) for connection in crowd.values())
    assert told == {0.0: 150, 0.0045: 64, 0.011: 0}[step]
    world.clock.step = 0.0
    world.settle()
    for name, connection in crowd.items():
        assert world.changes(connection) == [{name: {"Email": name}}]
        assert offset(world.wires.frames[connection][-1], name) == 1
    assert world.hub.counters.matched == 150


def test_a_crowd_on_one_account_does_not_hold_up_another() -> None:
    world = World(interval=0.1, budget=0.01)
    crowd = [world.connect(A) for _ in range(1000)]
    other = world.connect(B)
    world.settle()
    for number in range(2):
        world.publish((A, {"Email": f"a{number}"}))
        world.publish((B, {"Email": f"b{number}"}))
    world.clock.now += 0.2
    world.hub.expire()
    world.clock.step = 0.003
    world.hub.drain()
    assert world.changes(other) == [{B: {"Email": "b0"}}, {B: {"Email": "b1"}}]
    assert any(len(world.changes(connection)) == 1 for connection in crowd)


def test_a_fault_with_what_waits_for_some_ends_those_and_leaves_nobody_else_waiting() -> None:
    world = World(interval=0.1)
    crowd = [world.connect(A) for _ in range(2 * CHUNK)]
    faulty = False

    def encode(changes: Sequence[jmap.Changed], pushed: str) -> list[bytes]:
        if faulty:
            raise KeyError("a fault")
        return jmap.state_changes(changes, pushed)

    bad = connection_of(A)
    world.hub.add(bad, Form(None, encode))
    world.hub.resume(bad, {})
    other = world.connect(B)
    world.settle()
    for state in "12":
        world.publish((A, {"Email": state}))
        world.publish((B, {"Email": state}))
    faulty = True
    world.settle()
    assert bad in world.wires.failed
    assert len(world.wires.failed) <= CHUNK
    for connection in {*crowd, other} - set(world.wires.failed):
        assert world.changes(connection)[-1] == {connection.accounts: {"Email": "2"}}


def test_without_coalescing_a_batch_is_told_change_by_change_while_there_is_time() -> None:
    world = World(budget=0.01)
    crowd = [world.connect(A) for _ in range(100)]
    told = [(A, {"Email": str(number)}) for number in range(1000)]
    world.clock.step = 0.001
    world.publish(*told)
    world.clock.step = 0.0
    world.settle()
    for connection in crowd:
        changes = world.changes(connection)
        assert changes[-1] == {A: {"Email": "999"}}
        assert len(changes) < 20
        assert offset(world.wires.frames[connection][-1], A) == 1


def test_a_crowd_that_waits_for_the_same_shares_it() -> None:
    world = World(interval=0.1)
    crowd = [world.connect(A) for _ in range(3)]
    world.publish((A, {"Email": "1"}))
    world.publish((A, {"Email": "2"}))
    first, *others = (connection.pending for connection in crowd)
    assert first is not None
    assert all(pending is first for pending in others)
    assert (world.hub.counters.matched, world.hub.counters.coalesced) == (6, 3)


def test_a_resync_names_states_that_nobody_has_seen() -> None:
    world = World()
    mail, everything, alerts = (
        world.connect(A, types=("Email", "EmailDelivery")),
        world.connect(A),
        world.connect(A, types=("EmailDelivery",)),
    )
    leaving, twin = world.connect(A), world.connect(A)
    world.hub.remove(leaving)
    assert set(world.hub.resync([A, "nobody"])) == {mail, everything, alerts, twin}
    world.wires.blocked.add(mail)
    held = world.hub.resync([A])
    world.publish((A, {"Mailbox": "1"}))
    world.settle()
    assert world.changes(everything) == [], "held until its turn"
    for connection in held:
        world.hub.release(connection)
    world.settle()
    assert [list(frame[A]) for frame in world.changes(mail)] == [["Email"]]  # type: ignore[index]
    assert list(world.changes(everything)[0][A]) == ["Email", "Mailbox", "Thread"]  # type: ignore[index]
    assert world.changes(twin) == world.changes(everything)
    assert list(world.changes(alerts)[0][A]) == ["EmailDelivery"]  # type: ignore[index]


def test_more_waiting_types_than_are_kept_become_a_resync() -> None:
    world = World(interval=0.1)
    connection = world.connect(A)
    for number in range(MAX_PENDING_TYPES + 1):
        world.publish((A, {f"Type{number}": "1"}))
    assert world.hub.counters.overflowed == 1
    world.settle()
    assert len(world.changes(connection)) == 1
    assert set(world.changes(connection)[0][A]) == {"Email", "Mailbox", "Thread"}  # type: ignore[index]


def test_a_batch_that_names_ever_more_types_is_told_in_frames_of_a_bounded_size() -> None:
    world = World(interval=0.1)
    everything, mail = world.connect(A), world.connect(A, types=("Type3",))
    world.publish(*((A, {f"Type{32 * number + k}": "1" for k in range(32)}) for number in range(100)))
    world.settle()
    assert all(len(changed[A]) <= MAX_PENDING_TYPES for changed in world.changes(everything))  # type: ignore[index]
    assert set(world.changes(everything)[-1][A]) == {"Email", "Mailbox", "Thread"}  # type: ignore[index]
    assert world.changes(mail) == [{A: {"Type3": "1"}}]


def test_refresh_gives_a_quiet_connection_a_fresh_cursor() -> None:
    world = World()
    connection = world.connect(A)
    world.publish((B, {"Email": "1"}))
    world.hub.refresh(connection)
    assert world.changes(connection) == [{}]
    assert offset(world.wires.frames[connection][-1], A) == 1
    world.wires.blocking.add(connection)
    world.publish((A, {"Email": "1"}))
    world.hub.refresh(connection)
    assert world.changes(connection) == [{}, {A: {"Email": "1"}}]
    world.hub.remove(connection)
    world.hub.refresh(connection)
    world.hub.blocked(connection)
    world.hub.unblocked(connection)
    assert len(world.changes(connection)) == 2


@pytest.mark.parametrize("interval", [0.0, 0.1])
@pytest.mark.parametrize(
    ("ends", "told"),
    [(Ends.NEVER, []), (Ends.WITH_CHANGE, [True]), (Ends.AT_ONCE, [False])],
)
def test_a_connection_ends_when_its_form_says_so(ends: Ends, told: list[bool], interval: float) -> None:
    world = World(interval)
    connection = connection_of(A)
    world.hub.add(connection, Form(None, jmap.state_changes, ends))
    world.hub.resume(connection, {})
    world.settle()
    world.publish((A, {"Email": "1"}))
    world.publish((A, {"Email": "2"}))
    world.settle()
    assert [changed for _, changed in world.wires.finished] == told
    assert len(world.wires.frames[connection]) == {Ends.NEVER: 3, Ends.WITH_CHANGE: 2, Ends.AT_ONCE: 1}[ends]
    assert bool(world.hub.connections(A)) == (ends is Ends.NEVER)


def test_who_is_not_greeted_hears_of_changes_only() -> None:
    world = World()
    quiet = Form(None, jmap.state_changes, Ends.AT_ONCE, greets=False)
    parked, missed = connection_of(A), connection_of(A)
    for connection in (parked, missed):
        world.hub.add(connection, quiet)
    world.hub.resume(parked, {})
    world.hub.resume(missed, {A: {"Email": "1"}})
    assert world.wires.finished == [(missed, True)]
    assert world.wires.frames[parked] == []
    world.publish((A, {"Email": "2"}))
    assert world.wires.finished == [(missed, True), (parked, True)]


def test_who_ends_in_a_fan_out_beyond_its_budget_ends_later() -> None:
    world = World(budget=0.01)
    form = Form(None, jmap.state_changes, Ends.WITH_CHANGE)
    crowd = [connection_of(A) for _ in range(300)]
    for connection in crowd:
        world.hub.add(connection, form)
        world.hub.resume(connection, {})
    world.clock.step = 0.004
    world.publish((A, {"Email": "1"}))
    assert 0 < len(world.wires.finished) < len(crowd)
    world.clock.step = 0.0
    world.settle()
    assert [connection for connection, _ in world.wires.finished] == crowd


def test_connections_and_accounts_are_forgotten() -> None:
    world = World()
    first, second = world.connect(A, B), world.connect(A)
    assert world.hub.accounts(1) == [A, B]
    world.hub.remove(first)
    world.hub.remove(first)
    assert list(world.hub.connections(A)) == [second]
    assert list(world.hub.connections(B)) == []
    world.hub.remove(second)
    assert world.hub.accounts(1) == []
    world.publish((A, {"Email": "1"}))
    assert world.changes(first) == world.changes(second) == []


ACCOUNTS = [*together(3), "elsewhere"]
TYPES = ["Email", "Mailbox", "Thread"]
STEPS = st.one_of(
    st.tuples(
        st.just("publish"),
        st.lists(
            st.tuples(st.sampled_from(together(3)), st.sets(st.sampled_from(TYPES), min_size=1)), min_size=1, max_size=4
        ),
    ),
    st.tuples(st.just("publish"), st.lists(st.just(("elsewhere", {"Email"})), min_size=1, max_size=2)),
    st.tuples(st.just("block"), st.integers(0, 5)),
    st.tuples(st.just("unblock"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.floats(0, 0.15)),
    st.tuples(st.just("drain"), st.none()),
    st.tuples(st.just("refresh"), st.integers(0, 5)),
)


def expected(world: World, connection: Connection, since: Mapping[int, int]) -> dict[tuple[str, str], str]:
    """The newest state by (account, type) that the log holds beyond some offsets, as far as this client wants it."""
    form = connection.form
    assert form is not None
    return {
        (change.account, name): state
        for shard, batches in world.log.items()
        for batch in batches[since.get(shard, 0) + 1 :]
        for change in batch
        if change.account in connection.account_names()
        for name, state in change.changed.items()
        if form.types is None or name in form.types
    }


@given(st.lists(STEPS, max_size=30), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.01]))
def test_cut_after_any_frame_its_cursor_brings_back_everything(
    steps: list[tuple[str, object]], interval: float, step: float
) -> None:
    world = World(interval=interval, budget=0.05)
    x, y, z = together(3)
    connections = [
        world.connect(x),
        world.connect(x, types=("Email",)),
        world.connect(x, y),
        world.connect(z, "elsewhere", x),
        world.connect("elsewhere"),
        world.connect(x),
    ]
    world.clock.step = step
    number = 0
    for kind, argument in steps:
        if kind == "publish":
            changes = []
            assert isinstance(argument, list)
            for account, names in argument:
                number += 1
                changes.append((account, dict.fromkeys(sorted(names), str(number))))
            world.publish(*changes)
        elif kind == "wait":
            assert isinstance(argument, float)
            world.clock.now += argument
            world.hub.expire()
        elif kind == "drain":
            world.hub.drain()
        else:
            assert isinstance(argument, int)
            connection = connections[argument]
            if kind == "block" and connection not in world.wires.blocked:
                world.wires.blocking.add(connection)
            elif kind == "unblock" and connection in world.wires.blocked:
                world.unblock(connection)
            elif kind == "refresh" and connection not in world.wires.blocked:
                world.hub.refresh(connection)
    world.clock.step = 0.0
    world.settle()
    for connection in connections:
        told: dict[tuple[str, str], str] = {}
        for frame in world.wires.frames[connection]:
            changed = frame["changed"]
            assert isinstance(changed, dict)
            for account, states in changed.items():
                told |= {(account, name): state for name, state in states.items()}
            since = {shard_of(account, SHARDS): offset(frame, account) for account in connection.account_names()}
            assert told | expected(world, connection, since) == expected(world, connection, {})
        assert told == expected(world, connection, {})


def test_what_waits_is_counted_once_for_all_who_wait_for_the_same_and_given_back_when_it_is_told() -> None:
    world = World(interval=1.0)
    crowd = [world.connect(A) for _ in range(50)]
    world.settle()
    world.publish((A, {"Email": "0"}))
    assert world.held.held == 0, "it is told at once"
    world.publish((A, {"Email": "x" * 100}))
    once = world.held.held
    assert once == size_of({"Email": ""})
    for number in range(100):
        world.publish((A, {"Email": f"{number:100}"}))
    assert world.held.held == once, "a newer state takes the place of the older one"
    world.publish((A, {"Mailbox": "1" * 100}))
    assert world.held.held > once + 100
    world.settle()
    assert all(world.changes(one)[-1] == {A: {"Email": f"{99:100}", "Mailbox": "1" * 100}} for one in crowd)
    assert world.held.held == 0


def test_who_leaves_or_takes_another_form_gives_back_what_waited() -> None:
    world = World(interval=1.0)
    goes, changes = world.connect(A), world.connect(A, B)
    for number in range(2):
        world.publish((A, {f"Type{number}": "x" * 100}), (B, {"Email": "y" * 200}))
    for number in range(2):
        world.publish((A, {f"Type{number}": "x" * 100}), (B, {"Email": "y" * 200}))
    before = world.held.held
    world.hub.remove(goes)
    assert 0 < world.held.held < before
    world.hub.add(changes, world.form("Mailbox"))
    assert world.held.held == 0
    world.hub.add(changes, world.form("Email"))
    world.hub.resume(changes, {})
    assert world.held.held == 0


def test_while_there_is_no_room_much_that_waits_becomes_a_resynchronisation() -> None:
    world = World(interval=1.0)
    world.held.limit = SMALL_BYTES
    large, small = world.connect(A), world.connect(B)
    for number in range(60):
        world.publish((A, {f"Type{number}": "x" * 200}), (B, {"Email": str(number)}))
    assert world.held.held < 2 * SMALL_BYTES
    world.settle()
    told = world.changes(large)[-1]
    assert isinstance(told, dict)
    assert {"Email", "Mailbox", "Thread"} <= set(told[A])
    assert world.changes(small)[-1] == {B: {"Email": "59"}}
    assert world.hub.counters.overflowed >= 1
    assert world.held.held == 0
