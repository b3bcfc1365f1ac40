from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest

from tests.support.connections import connection_of
from tests.support.sink import FakeSink
from tests.support.waiting import eventually, within
from tidings.bus.memory import MemoryLog
from tidings.gateway.feeds import pool as demand
from tidings.gateway.feeds.window import Window
from tidings.gateway.hub.hub import Hub
from tidings.gateway.model.changes import ANYTHING, Changed, Told
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import ResyncReason
from tidings.gateway.resume.resumes import FORGED_SECONDS
from tidings.gateway.subscriptions import Subscriptions
from tidings.ops.budget import Budget
from tidings.wire import cursor
from tidings.wire.change import Change
from tidings.wire.cursor import Position
from tidings.wire.shard import shard_of

SHARDS = 8


def encode(changes: Sequence[Mapping[str, Mapping[str, str]]], pushed: str) -> list[bytes]:
    return [json.dumps({"changed": changed, "cursor": pushed}).encode() for changed in changes]


class Reader:
    """A feed that is live when the test says so."""

    def __init__(self, owner: World, shard: int) -> None:
        self.live = False
        self.window = Window(300.0)
        self.running = False
        self.lag = self.silence = 0.0
        self.proof = asyncio.Event()
        self.proofs = 0
        self._owner = owner
        self.shard = shard

    def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def prove(self) -> None:
        self.proofs += 1
        await self.proof.wait()

    def go_live(self) -> None:
        self.window.append(Position(0, b"mark"), time.time(), [])
        self.live = True
        self._owner.subscriptions.live(self.shard, Position(0, b"mark"))

    def change(self, offset: int, account: str, **states: str) -> None:
        told = [Told(account, states, None)]
        position = Position(offset, b"batc")
        self.window.append(position, time.time(), [Change(account, dict(states), "FlagsSet", "1", "test")])
        self._owner.subscriptions.batch(self.shard, position, told, time.monotonic())


class World(FakeSink):
    """Subscriptions with a real hub; frames are remembered."""

    def __init__(self, resync_rate: float = 0.0, room: int = 0) -> None:
        super().__init__()
        self.turned_away: list[Connection] = []
        self.frames: defaultdict[Connection, list[dict[str, object]]] = defaultdict(list)
        self.readers: dict[int, Reader] = {}
        self.outcomes: list[str] = []
        self.failed: list[tuple[Connection, str]] = []
        self.held = Budget(room).account("resumes")
        self.hub = Hub(
            shards=SHARDS,
            interval=0.0,
            budget=1.0,
            sink=self,
            witness=self,
            clock=time.monotonic,
            unknown_state=lambda: "new",
            waiting=self.held,
        )
        self.subscriptions = Subscriptions(
            MemoryLog(SHARDS), self.hub, self.make, lambda: "new", resync_rate, self.hear_outcome, self.held
        )
        self.form = self.subscriptions.form(None, encode)

    def hear_outcome(self, connection: Connection, outcome: str) -> None:
        self.outcomes.append(outcome)

    def make(self, shard: int) -> Reader:
        self.readers[shard] = reader = Reader(self, shard)
        return reader

    def hear(self, connection: Connection, frame: bytes) -> None:
        self.frames[connection].append(json.loads(frame))

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        for connection in connections:
            self.subscriptions.unsubscribe(connection)

    def fail(self, connections: Sequence[Connection], error: Exception) -> None:
        for connection in connections:
            self.failed.append((connection, repr(error)))
            self.subscriptions.unsubscribe(connection)

    def turn_away(self, connection: Connection) -> None:
        self.turned_away.append(connection)
        self.subscriptions.left(connection)

    def defer(self) -> None:
        asyncio.get_running_loop().call_soon(self.hub.drain)

    def cool(self, due: float) -> None:
        raise AssertionError("no coalescing here")

    def reader(self, account: str) -> Reader:
        return self.readers[shard_of(account, SHARDS)]


ELSEWHERE = next(name for name in map(str, range(100)) if shard_of(name, SHARDS) != shard_of("alice", SHARDS))


async def test_nothing_is_said_until_every_feed_is_live() -> None:
    world, both = World(), connection_of("alice", ELSEWHERE)
    world.subscriptions.subscribe(both, world.form, None)
    world.reader("alice").go_live()
    world.reader("alice").change(1, "alice", Email="1")
    assert world.frames[both] == []
    world.reader(ELSEWHERE).go_live()
    (hello,) = world.frames[both]
    assert hello["changed"] == {"alice": {"Email": "1"}}
    assert set(cursor.decode(str(hello["cursor"]))[1]) == {shard_of("alice", SHARDS), shard_of(ELSEWHERE, SHARDS)}
    assert world.subscriptions.resumes.counters.fresh == 1
    assert world.outcomes == ["fresh"]


async def test_a_fault_with_one_leaves_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    world, first, second = World(), connection_of("alice"), connection_of("alice")
    for each in (first, second):
        world.subscriptions.subscribe(each, world.form, None)
    resume = world.hub.resume

    def fail(connection: Connection, missed: Changed) -> None:
        if connection is first:
            raise KeyError("a fault")
        resume(connection, missed)

    monkeypatch.setattr(world.hub, "resume", fail)
    world.reader("alice").go_live()
    await eventually(lambda: world.frames[second])
    assert world.failed == [(first, "KeyError('a fault')")]
    third = connection_of("alice")
    world.subscriptions.subscribe(third, world.form, None)
    await eventually(lambda: world.frames[third])


async def test_a_fault_with_one_that_resynchronises_leaves_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, first, second = World(), connection_of("alice"), connection_of("alice")
    for each in (first, second):
        world.subscriptions.subscribe(each, world.form, None)
    world.reader("alice").go_live()
    await eventually(lambda: world.frames[first] and world.frames[second])
    release = world.hub.release

    def fail(connection: Connection) -> None:
        if connection is first:
            raise KeyError("a fault")
        release(connection)

    monkeypatch.setattr(world.hub, "release", fail)
    world.subscriptions.gap(shard_of("alice", SHARDS), ResyncReason.GAP)
    await eventually(lambda: len(world.frames[second]) == 2)
    assert world.failed == [(first, "KeyError('a fault')")]


def since(offset: int) -> str:
    return cursor.encode(SHARDS, {shard_of("alice", SHARDS): Position(offset, b"batc")})


async def test_a_proof_says_nothing_of_a_cursor_that_came_later() -> None:
    world, one = World(), connection_of("alice")
    world.subscriptions.subscribe(one, world.form, None)
    reader = world.reader("alice")
    reader.go_live()
    world.subscriptions.subscribe(one, world.form, since(5))
    await asyncio.sleep(0)
    world.subscriptions.subscribe(one, world.form, since(9))
    earlier, reader.proof = reader.proof, asyncio.Event()
    reader.change(5, "alice", Email="5")
    earlier.set()
    await eventually(lambda: reader.proofs == 2)
    reader.change(9, "alice", Email="9")
    reader.proof.set()
    await eventually(lambda: len(world.outcomes) == 2)
    assert world.outcomes == ["fresh", "nothing_missed"]
    assert world.subscriptions.resumes.counters.resync == 0


async def test_a_proof_that_outlives_its_feed_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.feeds.pool.LINGER_SECONDS", 0.0)
    world, stays = World(), connection_of("alice")
    world.subscriptions.subscribe(stays, world.form, None)
    world.reader("alice").go_live()
    asking = [connection_of("alice"), connection_of("alice")]
    for each in asking:
        world.subscriptions.subscribe(each, world.form, since(5))
        await asyncio.sleep(0)
    (proof,) = (task for task in asyncio.all_tasks() if task.get_name().startswith("proof-"))
    for each in (stays, *asking):
        world.subscriptions.unsubscribe(each)
    await eventually(lambda: not world.reader("alice").running and not world.subscriptions.feeds)
    world.reader("alice").proof.set()
    async with within(5):
        await proof


async def test_who_waited_and_went_is_forgotten() -> None:
    world, gone = World(), connection_of("alice")
    world.subscriptions.subscribe(gone, world.form, None)
    world.subscriptions.unsubscribe(gone)
    world.subscriptions.unsubscribe(gone)
    world.reader("alice").go_live()
    world.reader("alice").change(1, "alice", Email="1")
    assert world.frames[gone] == []
    await world.subscriptions.stop()


async def test_a_second_subscription_replaces_the_first() -> None:
    world, one = World(), connection_of("alice")
    world.subscriptions.subscribe(one, world.form, None)
    world.reader("alice").go_live()
    world.subscriptions.subscribe(one, world.subscriptions.form(frozenset({"Mailbox"}), encode), None)
    world.reader("alice").change(1, "alice", Email="1")
    world.reader("alice").change(2, "alice", Mailbox="2")
    assert [frame["changed"] for frame in world.frames[one]] == [{}, {}, {"alice": {"Mailbox": "2"}}]


async def test_equal_wishes_share_a_form_for_as_long_as_somebody_has_it() -> None:
    world = World()
    assert world.subscriptions.form(None, encode) is world.form
    types = frozenset({"Email"})
    kept = world.subscriptions.form(types, encode)
    before = world.held.held
    for number in range(2_000):
        world.subscriptions.form(frozenset({f"Odd{number}"}), encode)
    assert world.held.held == before
    assert world.subscriptions.form(types, encode) is kept
    assert world.subscriptions.form(types, encode, greets=False) is not kept
    del kept
    assert world.held.held < before


async def test_two_accounts_are_missed_each_by_itself() -> None:
    world, first = World(), connection_of("alice", ELSEWHERE)
    world.subscriptions.subscribe(first, world.form, None)
    world.reader("alice").go_live()
    world.reader(ELSEWHERE).go_live()
    since = str(world.frames[first][0]["cursor"])
    world.subscriptions.unsubscribe(first)
    world.reader("alice").change(1, "alice", Email="1")
    back = connection_of("alice", ELSEWHERE)
    world.subscriptions.subscribe(back, world.form, since)
    assert world.frames[back][0]["changed"] == {"alice": {"Email": "1"}}
    only_alice = connection_of("alice")
    world.subscriptions.subscribe(only_alice, world.form, None)
    narrow = str(world.frames[only_alice][0]["cursor"])
    wider = connection_of("alice", ELSEWHERE)
    world.subscriptions.subscribe(wider, world.form, narrow)
    await eventually(lambda: world.frames[wider])
    assert world.frames[wider][0]["changed"] == {ELSEWHERE: dict.fromkeys(("Email", "Mailbox", "Thread"), "new")}
    assert world.subscriptions.resyncs.told[ResyncReason.UNKNOWN] == 1
    assert world.outcomes[-1] == "resync: unknown"
    await world.subscriptions.stop()


async def test_a_gap_resynchronises_everybody_of_the_shard_and_nobody_else() -> None:
    world, here, there = World(), connection_of("alice"), connection_of(ELSEWHERE)
    for one in (here, there):
        world.subscriptions.subscribe(one, world.form, None)
    world.reader("alice").go_live()
    world.reader(ELSEWHERE).go_live()
    world.subscriptions.gap(shard_of("alice", SHARDS), ResyncReason.GAP)
    await eventually(lambda: len(world.frames[here]) == 2)
    assert world.frames[here][-1]["changed"] == {"alice": dict.fromkeys(("Email", "Mailbox", "Thread"), "new")}
    assert len(world.frames[there]) == 1
    assert world.subscriptions.resyncs.told[ResyncReason.GAP] == 1
    assert world.outcomes[-1] == "resync: gap"


ANYTHING_CHANGED = {ANYTHING: "1-0-x"}
RESYNC = {"alice": dict.fromkeys(("Email", "Mailbox", "Thread"), "new")}


async def test_whoever_is_connected_is_told_to_look_when_anything_may_have_changed() -> None:
    world, here, there = World(), connection_of("alice"), connection_of(ELSEWHERE)
    for one in (here, there):
        world.subscriptions.subscribe(one, world.form, None)
    world.reader("alice").go_live()
    world.reader(ELSEWHERE).go_live()
    world.reader("alice").change(1, "alice", **ANYTHING_CHANGED)
    await eventually(lambda: len(world.frames[here]) == 2)
    assert world.frames[here][-1] == {"changed": RESYNC, "cursor": cursor_at(1)}
    assert len(world.frames[there]) == 1
    assert world.subscriptions.resyncs.told[ResyncReason.SOURCE] == 1
    assert world.outcomes[-1] == "resync: source"


@pytest.mark.parametrize("order", [1, -1], ids=["before it", "behind it"])
async def test_no_state_of_the_same_read_hides_that_anything_may_have_changed(order: int) -> None:
    world, one = World(), connection_of("alice")
    world.subscriptions.subscribe(one, world.form, None)
    reader = world.reader("alice")
    reader.go_live()
    told = [Told("alice", {"Email": "1"}, None), Told("alice", ANYTHING_CHANGED, None)][::order]
    world.subscriptions.batch(reader.shard, Position(1, b"batc"), told, time.monotonic())
    await eventually(lambda: len(world.frames[one]) == 2)
    assert world.frames[one][-1] == {"changed": RESYNC, "cursor": cursor_at(1)}


async def test_it_is_told_of_other_types_too_but_rings_for_no_new_mail() -> None:
    world, one = World(), connection_of("alice")
    form = world.subscriptions.form(frozenset({"EmailDelivery", "Quota"}), encode)
    world.subscriptions.subscribe(one, form, None)
    world.reader("alice").go_live()
    world.reader("alice").change(1, "alice", **ANYTHING_CHANGED)
    await eventually(lambda: len(world.frames[one]) == 2)
    assert world.frames[one][-1]["changed"] == {"alice": {"Quota": "new"}}


async def test_who_was_away_meanwhile_is_told_to_look_at_the_pace_of_resyncs() -> None:
    world, first, many = World(resync_rate=20.0), connection_of("alice"), [connection_of("alice") for _ in range(6)]
    world.subscriptions.subscribe(first, world.form, None)
    reader = world.reader("alice")
    reader.go_live()
    reader.change(1, "alice", Email="1")
    reader.change(2, "alice", **ANYTHING_CHANGED)
    reader.change(3, "alice", Email="3")
    await eventually(lambda: len(world.frames[first]) == 3)
    begun = time.monotonic()
    for one in many:
        world.subscriptions.subscribe(one, world.form, cursor_at(1))
    await eventually(lambda: all(world.frames[one] for one in many))
    assert time.monotonic() - begun >= 2 / 20.0
    assert all(world.frames[one][0]["changed"] == RESYNC for one in many)
    assert world.subscriptions.resyncs.told[ResyncReason.SOURCE] == 7
    later = connection_of("alice")
    world.subscriptions.subscribe(later, world.form, cursor_at(2))
    await eventually(lambda: world.frames[later])
    assert world.frames[later][0]["changed"] == {"alice": {"Email": "3"}}
    await world.subscriptions.stop()


async def test_a_feed_outlives_its_last_connection_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "LINGER_SECONDS", 0.05)
    world, one, two = World(), connection_of("alice"), connection_of("alice")
    world.subscriptions.subscribe(one, world.form, None)
    reader = world.reader("alice")
    world.subscriptions.unsubscribe(one)
    world.subscriptions.subscribe(two, world.form, None)
    await asyncio.sleep(0.1)
    assert world.subscriptions.feeds == {reader.shard: reader}, "somebody came back"
    world.subscriptions.unsubscribe(two)
    async with within(5):
        while reader.running:
            await asyncio.sleep(0.01)
    assert not world.subscriptions.feeds
    world.subscriptions.subscribe(one, world.form, None)
    assert world.reader("alice") is not reader


def cursor_at(offset: int, check: bytes = b"batc") -> str:
    return cursor.encode(SHARDS, {shard_of("alice", SHARDS): Position(offset, check)})


async def test_who_knows_more_than_this_gateway_waits_until_it_has_read_as_far() -> None:
    world, first, ahead = World(), connection_of("alice"), connection_of("alice")
    world.subscriptions.subscribe(first, world.form, None)
    world.reader("alice").go_live()
    world.subscriptions.subscribe(ahead, world.form, cursor_at(2))
    await asyncio.sleep(0)
    assert world.frames[ahead] == []
    assert len(world.subscriptions.resumes) == 1
    for offset in (1, 2, 3):
        world.reader("alice").change(offset, "alice", Email=str(offset))
    world.reader("alice").proof.set()
    await eventually(lambda: world.frames[ahead])
    assert world.frames[ahead][0]["changed"] == {"alice": {"Email": "3"}}
    assert not any(world.subscriptions.resyncs.told.values())
    await world.subscriptions.stop()


async def test_a_cursor_beyond_all_that_there_is_is_one_of_another_log() -> None:
    world, first, ahead = World(), connection_of("alice"), connection_of("alice")
    world.subscriptions.subscribe(first, world.form, None)
    world.reader("alice").go_live()
    world.subscriptions.subscribe(ahead, world.form, cursor_at(2))
    world.reader("alice").proof.set()
    await eventually(lambda: world.frames[ahead])
    assert world.subscriptions.resyncs.told[ResyncReason.MISMATCH] == 1
    await world.subscriptions.stop()


@pytest.mark.parametrize("garbage", ["", "nonsense", cursor.encode(SHARDS * 2, {0: Position(0, b"mark")})])
async def test_a_cursor_that_is_none_of_ours_resynchronises(garbage: str) -> None:
    world, one = World(), connection_of("alice")
    world.subscriptions.subscribe(one, world.form, garbage)
    world.reader("alice").go_live()
    await eventually(lambda: world.frames[one])
    assert world.frames[one][0]["changed"] == {"alice": dict.fromkeys(("Email", "Mailbox", "Thread"), "new")}
    assert world.subscriptions.resyncs.told[ResyncReason.UNKNOWN] == 1


async def test_resyncs_have_a_pace_and_who_waits_is_matched_meanwhile() -> None:
    world, many = World(resync_rate=20.0), [connection_of("alice") for _ in range(6)]
    for one in many:
        world.subscriptions.subscribe(one, world.form, None)
    world.reader("alice").go_live()
    await eventually(lambda: all(len(world.frames[one]) == 1 for one in many))
    begun = time.monotonic()
    world.subscriptions.gap(shard_of("alice", SHARDS), ResyncReason.GAP)
    world.subscriptions.gap(shard_of("alice", SHARDS), ResyncReason.GAP)
    assert len(world.subscriptions.resyncs) == 6, "one place for each"
    world.reader("alice").change(1, "alice", Mailbox="1")
    assert all(len(world.frames[one]) == 1 for one in many)
    world.subscriptions.unsubscribe(many.pop())
    await eventually(lambda: all(len(world.frames[one]) == 2 for one in many))
    assert time.monotonic() - begun >= 2 / 20.0, "three of five may go at once"
    assert world.frames[many[-1]][1]["changed"] == {"alice": {"Email": "new", "Mailbox": "1", "Thread": "new"}}
    assert world.subscriptions.resyncs.told[ResyncReason.GAP] == 5
    assert len(world.subscriptions.resyncs) == 0
    await world.subscriptions.stop()


async def test_who_subscribes_again_while_it_waits_for_its_turn_is_answered_once() -> None:
    world, one = World(resync_rate=20.0), connection_of("alice")
    world.subscriptions.subscribe(one, world.form, None)
    world.reader("alice").go_live()
    world.subscriptions.gap(shard_of("alice", SHARDS), ResyncReason.GAP)
    world.subscriptions.subscribe(one, world.form, "nonsense")
    assert len(world.frames[one]) == 1
    await eventually(lambda: len(world.frames[one]) == 2)
    assert world.subscriptions.resyncs.told[ResyncReason.GAP] == 1
    assert world.subscriptions.resyncs.told[ResyncReason.UNKNOWN] == 1
    await world.subscriptions.stop()


async def test_more_missed_types_than_are_kept_become_a_resync() -> None:
    world, first, back = World(), connection_of("alice"), connection_of("alice")
    world.subscriptions.subscribe(first, world.form, None)
    world.reader("alice").go_live()
    world.reader("alice").change(1, "alice", **{f"Type{number}": "1" for number in range(200)})
    world.subscriptions.subscribe(back, world.form, cursor_at(0, b"mark"))
    assert world.frames[back][0]["changed"] == {"alice": dict.fromkeys(("Email", "Mailbox", "Thread"), "new")}


def forged(number: int) -> str:
    return cursor_at(10**9 + number)


@pytest.fixture
def _no_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.resume.proofs.PAUSE_SECONDS", 0.0)


async def test_while_the_log_takes_nothing_a_client_keeps_one_resume_however_often_it_asks() -> None:
    world, first = World(), connection_of("alice")
    world.subscriptions.subscribe(first, world.form, None)
    world.reader("alice").go_live()
    idle = world.held.held
    asks = connection_of("alice")
    world.subscriptions.subscribe(asks, world.form, forged(0))
    await eventually(lambda: world.reader("alice").proofs)
    once = world.held.held
    assert once > idle
    kept = kept_objects()
    for number in range(1, 500):
        world.subscriptions.subscribe(asks, world.form, forged(number))
        await asyncio.sleep(0)
    assert world.held.held == once
    assert len(world.subscriptions.resumes) == 1
    assert kept_objects() <= kept + 1
    world.subscriptions.left(asks)
    assert world.held.held == idle
    assert kept_objects() < kept, "nothing is kept of who has left, though the proof goes on"
    assert world.reader("alice").proofs == 1
    await world.subscriptions.stop()


def kept_objects() -> int:
    gc.collect()
    return sum(type(thing).__name__ in ("_Resume", "Seeker") for thing in gc.get_objects())


async def test_what_a_cursor_says_of_others_is_not_kept() -> None:
    world, one = World(), connection_of("alice")
    positions = {shard: Position(0, b"mark") for shard in range(SHARDS)}
    world.subscriptions.subscribe(one, world.form, cursor.encode(SHARDS, positions))
    world.reader("alice").go_live()
    assert world.frames[one][0]["changed"] == {}
    assert world.outcomes == ["nothing_missed"]


@pytest.mark.usefixtures("_no_markers")
async def test_forged_cursors_are_paced_and_others_of_the_shard_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.resume.toll.BURST_SECONDS", 3 * FORGED_SECONDS)
    # However long it takes here, nothing is paid off meanwhile.
    monkeypatch.setattr("tidings.gateway.resume.toll.time", SimpleNamespace(monotonic=lambda: 1_000.0))
    world, forger, honest = World(), connection_of("alice"), connection_of(NEIGHBOUR)
    world.subscriptions.subscribe(forger, world.form, None)
    reader = world.reader("alice")
    reader.go_live()
    reader.proof.set()
    answers, number = 1, 0
    while forger not in world.subscriptions.resumes.toll:
        number += 1
        world.subscriptions.subscribe(forger, world.form, forged(number))
        await eventually(
            lambda: len(world.frames[forger]) > answers or forger in world.subscriptions.resumes.toll  # noqa: B023
        )
        answers = len(world.frames[forger])
    assert number == 5, "four were over the burst"
    assert reader.proofs == 4
    back = connection_of("alice")
    world.subscriptions.subscribe(back, world.form, forged(0))
    assert back in world.subscriptions.resumes.toll, "by connecting again nobody is cheaper"
    ours = connection_of("alice")
    world.subscriptions.subscribe(ours, world.form, cursor_at(0, b"mark"))
    assert world.frames[ours][0]["changed"] == {}, "what costs nothing does not wait"
    world.subscriptions.subscribe(honest, world.form, position_of(NEIGHBOUR, 7))
    await eventually(lambda: world.frames[honest])
    assert reader.proofs == 5
    await world.subscriptions.stop()


NEIGHBOUR = next(
    name for name in map(str, range(1000)) if shard_of(name, SHARDS) == shard_of("alice", SHARDS) and name != "alice"
)


def position_of(account: str, offset: int) -> str:
    return cursor.encode(SHARDS, {shard_of(account, SHARDS): Position(offset, b"batc")})


@pytest.mark.usefixtures("_no_markers")
async def test_a_crowd_of_one_account_pays_once_for_a_log_that_was_recreated() -> None:
    world, crowd = World(), [connection_of("alice") for _ in range(200)]
    world.subscriptions.subscribe(connection_of("alice"), world.form, None)
    reader = world.reader("alice")
    reader.go_live()
    for one in crowd:
        world.subscriptions.subscribe(one, world.form, forged(0))
    reader.proof.set()
    await eventually(lambda: all(world.frames[one] for one in crowd))
    again = connection_of("alice")
    world.subscriptions.subscribe(again, world.form, forged(0))
    await eventually(lambda: world.frames[again])
    assert reader.proofs <= 3
    await world.subscriptions.stop()


async def test_who_has_no_room_is_turned_away_and_who_is_there_stays() -> None:
    world = World(room=20_000)
    there = [connection_of("alice") for _ in range(5)]
    for one in there:
        world.subscriptions.subscribe(one, world.form, None)
    late: list[Connection] = []
    while not world.turned_away:
        late.append(connection_of("alice"))
        world.subscriptions.subscribe(late[-1], world.form, None)
        assert len(late) < 100
    assert world.turned_away == late[-1:]
    assert world.held.held <= world.held.limit
    world.reader("alice").go_live()
    await eventually(lambda: all(world.frames[one] for one in (*there, *late[:-1])))
    world.subscriptions.subscribe(late[-1], world.form, None)
    assert world.frames[late[-1]], "there is room again"


async def test_the_accounts_of_a_subscription_are_counted_and_given_back() -> None:
    world = World()
    many = connection_of(*(f"account{number}" for number in range(64)))
    before = world.held.held
    world.subscriptions.subscribe(many, world.form, None)
    subscribed = world.held.held
    assert subscribed > before + 64 * len("account00")
    world.subscriptions.subscribe(many, world.form, None)
    assert world.held.held == subscribed
    world.subscriptions.left(many)
    assert world.held.held == before
    await world.subscriptions.stop()


async def test_what_waits_for_a_turn_to_resynchronise_is_counted() -> None:
    world, one = World(resync_rate=0.001), connection_of("alice", ELSEWHERE)
    world.subscriptions.subscribe(connection_of("alice", ELSEWHERE), world.form, "nonsense")
    for account in ("alice", ELSEWHERE):
        world.reader(account).go_live()
    await eventually(lambda: not len(world.subscriptions.resyncs))
    before = world.held.held
    world.subscriptions.subscribe(one, world.form, "nonsense")
    assert one in world.subscriptions.resyncs
    assert world.held.held > before
    world.subscriptions.left(one)
    assert world.held.held == before
    await world.subscriptions.stop()


async def test_what_is_held_for_whom_is_told_until_the_answer() -> None:
    world, one = World(), connection_of("alice")
    before = world.held.held
    world.subscriptions.subscribe(one, world.form, None)
    assert world.subscriptions.resumes.holdings() == [(one, world.held.held - before)]
    world.reader("alice").go_live()
    assert world.subscriptions.resumes.holdings() == []
