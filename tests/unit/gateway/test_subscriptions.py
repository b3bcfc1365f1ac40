from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest

from tests.support.connections import connection_of
from tests.support.waiting import eventually
from tidings.bus.memory import MemoryLog
from tidings.gateway import demand
from tidings.gateway import subscriptions as module
from tidings.gateway.connection import Connection
from tidings.gateway.hub import Hub
from tidings.gateway.pending import Pending, ResyncReason
from tidings.gateway.subscriptions import Subscriptions
from tidings.gateway.told import Changed, Told
from tidings.gateway.window import Window
from tidings.wire import cursor
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
        self.lag = self.heard_at = 0.0
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
        self.window.append(position, time.time(), told)
        self._owner.subscriptions.batch(self.shard, position, told, time.monotonic())


class World:
    """Subscriptions with a real hub; frames are remembered."""

    def __init__(self, resync_rate: float = 0.0) -> None:
        self.frames: defaultdict[Connection, list[dict[str, object]]] = defaultdict(list)
        self.readers: dict[int, Reader] = {}
        self.outcomes: list[str] = []
        self.failed: list[tuple[Connection, str]] = []
        self.hub = Hub(
            shards=SHARDS,
            interval=0.0,
            budget=1.0,
            sink=self,
            observer=self,
            clock=time.monotonic,
            unknown_state=lambda: "new",
        )
        self.subscriptions = Subscriptions(
            MemoryLog(SHARDS), self.hub, self.make, lambda: "new", resync_rate, self.hear_outcome
        )
        self.form = self.subscriptions.form(None, encode)

    def hear_outcome(self, connection: Connection, outcome: str) -> None:
        self.outcomes.append(outcome)

    def make(self, shard: int) -> Reader:
        self.readers[shard] = reader = Reader(self, shard)
        return reader

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        for connection in connections:
            self.frames[connection].append(json.loads(frame))

    def send_each(self, connections: Sequence[Connection], frames: Sequence[bytes]) -> None:
        for connection, frame in zip(connections, frames, strict=True):
            self.send([connection], frame)

    def finish(self, connections: Sequence[Connection], *, changed: bool) -> None:
        for connection in connections:
            self.subscriptions.unsubscribe(connection)

    def fail(self, connections: Sequence[Connection], error: Exception) -> None:
        for connection in connections:
            self.failed.append((connection, repr(error)))
            self.subscriptions.unsubscribe(connection)

    def is_blocked(self, connection: Connection) -> bool:
        return False

    def defer(self) -> None:
        asyncio.get_running_loop().call_soon(self.hub.drain)

    def cool(self, due: float) -> None:
        raise AssertionError("no coalescing here")

    def written(self, connections: Sequence[Connection], now: float, pending: Pending) -> None:
        pass

    def written_each(
        self, connections: Sequence[Connection], now: float, told: Sequence[Told], consumed: float
    ) -> None:
        pass

    def merged(self, connection: Connection, account: str, count: int) -> None:
        pass

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
    release = world.hub.release

    def fail(connection: Connection) -> None:
        if connection is first:
            raise KeyError("a fault")
        release(connection)

    monkeypatch.setattr(world.hub, "release", fail)
    world.subscriptions.gap(shard_of("alice", SHARDS))
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
    monkeypatch.setattr("tidings.gateway.demand.LINGER_SECONDS", 0.0)
    world, stays = World(), connection_of("alice")
    world.subscriptions.subscribe(stays, world.form, None)
    world.reader("alice").go_live()
    asking = [connection_of("alice"), connection_of("alice")]
    for each in asking:
        world.subscriptions.subscribe(each, world.form, since(5))
        await asyncio.sleep(0)
    (proof,) = (task for task in asyncio.all_tasks() if "_prove" in repr(task.get_coro()))
    for each in (stays, *asking):
        world.subscriptions.unsubscribe(each)
    await eventually(lambda: not world.reader("alice").running and not world.subscriptions.feeds)
    world.reader("alice").proof.set()
    async with asyncio.timeout(5):
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


async def test_equal_wishes_share_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    assert world.subscriptions.form(None, encode) is world.form
    monkeypatch.setattr(module, "MAX_FORMS", 1)
    types = frozenset({"Email"})
    assert world.subscriptions.form(types, encode) is not world.subscriptions.form(types, encode)


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
    world.subscriptions.gap(shard_of("alice", SHARDS))
    await eventually(lambda: len(world.frames[here]) == 2)
    assert world.frames[here][-1]["changed"] == {"alice": dict.fromkeys(("Email", "Mailbox", "Thread"), "new")}
    assert len(world.frames[there]) == 1
    assert world.subscriptions.resyncs.told[ResyncReason.GAP] == 1
    assert world.outcomes[-1] == "resync: gap"


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
    async with asyncio.timeout(5):
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
    world.subscriptions.gap(shard_of("alice", SHARDS))
    world.subscriptions.gap(shard_of("alice", SHARDS))
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
    world.subscriptions.gap(shard_of("alice", SHARDS))
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
