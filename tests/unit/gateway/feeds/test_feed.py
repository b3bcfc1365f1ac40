from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from secrets import token_bytes

import pytest
import structlog
from structlog.testing import capture_logs

from tests.support.unreliable import UnreliableLog
from tests.support.waiting import within
from tidings.bus.memory import MemoryLog
from tidings.gateway.feeds import feed as feeds
from tidings.gateway.feeds import rounds
from tidings.gateway.feeds.feed import Feed, FeedCounters
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.rounds import Rounds
from tidings.gateway.feeds.window import Place
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.model.changes import Told
from tidings.gateway.model.pending import ResyncReason
from tidings.ops.budget import Budget
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.cursor import Position, check_of

DEADLINE = 5.0
CHANGE = Change("alice", {"Email": "2"}, "FlagsSet", "1", "test")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MARKER_SECONDS", 0.2)
    monkeypatch.setattr(rounds, "QUIET_SECONDS", (0.1, 0.15))
    monkeypatch.setattr(feeds, "RETRY_SECONDS", (0.01, 0.02))


class Broker(UnreliableLog):
    """With one shard, and somebody who changes things."""

    def __init__(self) -> None:
        super().__init__(1)
        self.refused = 0

    async def append(self, shard: int, payload: bytes) -> None:
        self.refused += not self.accepts
        await super().append(shard, payload)

    async def change(self, account: str, **changed: str | None) -> bytes:
        batch_id = token_bytes(16)
        change = Change(account, dict(changed), "FlagsSet", "1", "test")
        await self.append(0, batch.encode(batch_id, time.time(), (change,)))
        return batch_id

    async def change_at_once(self, account: str, states: str) -> list[bytes]:
        """Append an entry for each state; whoever reads is given all of them in one call."""
        return await asyncio.gather(*(self.change(account, Email=state) for state in states))


class Owner:
    """Remembers what the feed tells."""

    def __init__(self) -> None:
        self.lives: list[Position] = []
        self.batches: list[tuple[Position, list[Told]]] = []
        self.gaps = 0
        self.before_gaps: list[list[str]] = []
        """The states that each gap came after."""
        self.reasons: list[ResyncReason] = []
        self.absent: set[str] = set()
        """Accounts that nobody is to be told of."""

    def find(self, account: str) -> str | None:
        return None if account in self.absent else account

    def live(self, shard: int, position: Position) -> None:
        self.lives.append(position)

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        self.batches.append((position, list(changes)))

    def gap(self, shard: int, reason: ResyncReason) -> None:
        self.gaps += 1
        self.before_gaps.append(self.states)
        self.reasons.append(reason)

    @property
    def states(self) -> list[str]:
        return [state for _, changes in self.batches for change in changes for state in change.changed.values()]


class World:
    def __init__(self) -> None:
        self.broker = Broker()
        self.owner = Owner()
        self.counters = FeedCounters()
        self.delivered: list[batch.Batch] = []
        self.follows: Callable[[batch.Batch], bool] = lambda batch: False
        self.followed = 0
        self.clock = LogClock()
        self.windows = Windows(Budget().account("windows"))
        self.feed = Feed(self.broker, 0, self.owner, self.counters, self._hear, self.windows, self.clock, Rounds())

    def _hear(self, batch: batch.Batch, consumed: float) -> Callable[[Callable[[], None]], None] | None:
        self.delivered.append(batch)
        return self._follow if self.follows(batch) else None

    def _follow(self, tell: Callable[[], None]) -> None:
        told = len(self.owner.batches)
        tell()
        assert len(self.owner.batches) == told + 1
        self.followed += 1

    async def stall(self) -> None:
        """Cut the feed off; where it attaches again nothing comes."""
        attached = self.broker.attached
        self.broker.cut(0)
        await self.until(lambda: self.broker.attached > attached)
        self.broker.mute(0)

    async def until(self, condition: Callable[[], object]) -> None:
        async with within(DEADLINE):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*before: str) -> AsyncIterator[World]:
    """A live feed; `before` are states that were appended earlier."""
    world = World()
    await world.broker.open()
    for state in before:
        await world.broker.change("alice", Email=state)
    world.feed.start()
    await world.until(lambda: world.feed.live)
    try:
        yield world
    finally:
        await world.feed.stop()
        await world.broker.close()


async def test_goes_live_by_its_marker_with_the_window_built_before() -> None:
    async with running("1", "2") as world:
        assert world.owner.lives == [world.feed.window.position]
        assert world.owner.states == [], "what came before is history, not news"
        assert len(world.feed.window) == 3


@pytest.mark.parametrize("busy", [False, True], ids=["a quiet shard", "a busy shard"])
async def test_goes_live_though_no_time_of_ours_is_one_of_the_logs(busy: bool) -> None:
    """The read then begins with what comes next, behind the first marker."""
    world = World()
    await world.broker.open()
    world.broker.behind = 400.0
    world.broker.attach_seconds = 0.05
    await world.broker.change("alice", Email="before")

    async def talk() -> None:
        while busy:
            await world.broker.change("bob", Email="1")
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    world.feed.start()
    await world.until(lambda: world.feed.live)
    talking.cancel()
    assert world.clock.doubted
    assert world.counters.lost == world.owner.gaps == 0
    await world.broker.change("alice", Email="after")
    await world.until(lambda: "after" in world.owner.states)
    assert "before" not in world.owner.states
    await world.feed.stop()
    await world.broker.close()


async def test_where_the_window_begins_the_logs_clock_decides() -> None:
    world = World()
    await world.broker.open()
    world.broker.behind = 400.0
    world.broker.attach_seconds = 0.05
    world.clock.set(time.time() - 400.0, time.monotonic())
    await world.broker.change("alice", Email="before")
    world.feed.start()
    await world.until(lambda: world.feed.live)
    assert len(world.feed.window) == 2
    assert not world.clock.doubted
    await world.feed.stop()
    await world.broker.close()


async def test_a_window_is_as_old_as_what_came_whatever_writers_clocks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("1") as world:
        for stamp in (time.time() + 3600, time.time() - 3600):
            await world.broker.append(0, batch.encode(token_bytes(16), stamp, (CHANGE,)))
        await world.until(lambda: world.owner.states == ["2", "2"])
        first = Position(0, check_of(batch.decode(world.broker._shards[0].entries[0][1]).id))
        assert world.feed.window.find(first) is Place.INSIDE
        assert world.feed.window.missed("alice", first) == {"Email": "2"}


async def test_what_a_window_keeps_is_counted_and_given_back_with_the_feed() -> None:
    async with running("1", "2") as world:
        held = world.windows.bytes
        assert held > 0
        await world.broker.change("alice", Email="x" * 200)
        await world.until(lambda: world.owner.states)
        assert world.windows.bytes >= held + 200
    assert world.windows.bytes == 0


async def test_tells_changes_in_log_order_and_how_long_they_took() -> None:
    async with running() as world:
        for state in "abc":
            await world.broker.change("alice", Email=state)
        await world.until(lambda: len(world.owner.states) == 3)
        assert world.owner.states == ["a", "b", "c"]
        assert len(world.delivered) == 3
        assert world.counters.changes == 3


async def test_what_comes_at_once_is_told_at_once_and_up_to_its_end() -> None:
    async with running() as world:
        first, last = await world.broker.change_at_once("alice", "ab")
        await world.until(lambda: world.owner.states == ["a", "b"])
        ((position, _),) = [told for told in world.owner.batches if told[1]]
        assert position.check == check_of(last) != check_of(first)


async def test_a_batch_that_is_followed_is_told_by_itself() -> None:
    async with running() as world:
        world.follows = lambda one: one.changes[0].changed == {"Email": "b"}
        await world.broker.change_at_once("alice", "abcd")
        await world.until(lambda: len(world.owner.states) == 4)
        told = [[change.changed["Email"] for change in changes] for _, changes in world.owner.batches if changes]
        assert told == [["a"], ["b"], ["c", "d"]]
        assert world.followed == 1


async def test_a_gap_is_told_after_what_came_before_it() -> None:
    async with running() as world:
        await asyncio.gather(
            world.broker.change("alice", Email="a"),
            world.broker.append(0, b"no batch"),
            world.broker.change("alice", Email="b"),
        )
        await world.until(lambda: len(world.owner.states) == 2)
        assert world.owner.before_gaps == [["a"]]


async def test_a_state_is_made_from_offset_index_and_batch_id() -> None:
    async with running() as world:
        batch_id = await world.broker.change("alice", Email=None)
        await world.until(lambda: world.owner.states)
        entries = [batch.decode(payload).id for _, payload in world.broker._shards[0].entries]
        # What is told with it, a marker perhaps, may be further on.
        offset = entries.index(batch_id)
        assert world.owner.batches[-1][0].offset >= offset
        assert world.owner.states == [f"{offset:x}-0-{check_of(batch_id).hex()}"]


async def test_silence_is_proven_by_markers() -> None:
    async with running() as world:
        before = world.counters.markers
        await world.until(lambda: world.counters.markers >= before + 3)
        assert world.counters.lost == 0


async def test_a_cut_feed_goes_on_where_it_was_without_a_gap() -> None:
    async with running() as world:
        await world.broker.change("alice", Email="1")
        await world.until(lambda: world.owner.states == ["1"])
        world.broker.accepts = False
        world.broker.cut(0)
        await world.until(lambda: not world.feed.live)
        world.broker.accepts = True
        await world.broker.change("alice", Email="2")
        await world.until(lambda: world.feed.live)
        assert world.owner.states == ["1", "2"]
        assert world.owner.gaps == 0
        assert world.counters.lost == 1


async def test_a_silent_feed_is_noticed_and_attached_again() -> None:
    async with running() as world:
        attached = world.broker.attached
        world.broker.mute(0)
        await world.broker.change("alice", Email="1")
        await world.until(lambda: world.feed.live and world.owner.states == ["1"])
        assert world.broker.attached == attached + 1
        assert world.counters.lost == 1


async def test_a_marker_that_is_faster_than_its_confirm_counts() -> None:
    async with running() as world:
        world.broker.confirm_seconds = 0.05
        before = world.counters.markers
        await world.until(lambda: world.counters.markers >= before + 4)
        assert world.counters.lost == 0


async def test_a_broker_that_is_slow_to_go_on_is_no_gap() -> None:
    async with running("1", "2") as world:
        last = world.feed.window.position
        await world.stall()
        attached = world.broker.attached
        await world.broker.change("alice", Email="3")
        await world.until(lambda: world.broker.attached > attached and world.feed.live)
        assert world.owner.states == ["3"]
        assert world.owner.gaps == 0
        assert world.feed.window.position != last


async def test_a_slow_broker_is_no_gap_though_writers_clocks_are_ahead() -> None:
    async with running("1") as world:
        # No marker comes behind it.
        world.broker.accepts = False
        await MemoryLog.append(world.broker, 0, batch.encode(token_bytes(16), time.time() + 3600, (CHANGE,)))
        await world.until(lambda: world.owner.states == ["2"])
        world.broker.accepts = True
        world.broker.attach_seconds = 0.05
        # Before it has delivered anything.
        await world.stall()
        attached = world.broker.attached
        await world.broker.change("alice", Email="3")
        await world.until(lambda: world.broker.attached > attached and world.feed.live)
        assert world.owner.states == ["2", "3"]
        assert world.owner.gaps == 0


async def test_a_recreated_log_that_is_shorter_is_a_gap() -> None:
    async with running("1", "2", "3") as world:
        world.broker.recreate(0)
        world.broker.cut(0)
        await world.until(lambda: world.owner.gaps == 1)
        await world.broker.change("alice", Email="after")
        await world.until(lambda: world.owner.states == ["after"])
        assert len(world.owner.lives) == 2


async def test_a_recreated_log_that_is_longer_is_a_gap() -> None:
    async with running() as world:
        world.broker.recreate(0)
        for _ in range(20):
            await world.broker.change("alice", Email="other")
        world.broker.cut(0)
        await world.until(lambda: world.owner.gaps == 1)
        assert "other" not in world.owner.states


async def test_a_log_cut_at_its_head_is_a_gap() -> None:
    async with running() as world:
        world.broker.accepts = False
        world.broker.cut(0)
        await world.until(lambda: not world.feed.live)
        world.broker.trim(0, keep=0)
        world.broker.accepts = True
        await world.broker.append(0, batch.encode(token_bytes(16), time.time(), ()))
        await world.until(lambda: world.owner.gaps == 1)


async def test_a_fault_of_ours_is_a_gap_and_the_feed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as world:
        tell = world.owner.batch
        faults = [KeyError("a fault")]

        def fail(shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
            if changes and faults:
                raise faults.pop()
            tell(shard, position, changes, consumed)

        monkeypatch.setattr(world.owner, "batch", fail)
        with structlog.testing.capture_logs() as logs:
            await world.broker.change("alice", Email="1")
            await world.until(lambda: world.owner.gaps == 1 and world.feed.live)
            await world.broker.change("alice", Email="2")
            await world.until(lambda: world.owner.states == ["2"])
        assert [line["error"] for line in logs if line["event"] == "feed failed"] == ["KeyError('a fault')"]
        assert world.counters.lost == world.counters.gaps == 1


async def test_an_entry_that_is_no_batch_is_a_gap_and_the_feed_goes_on() -> None:
    async with running() as world:
        await world.broker.append(0, b"\xc1 nonsense")
        await world.until(lambda: world.owner.gaps == 1)
        await world.broker.change("alice", Email="1")
        await world.until(lambda: world.owner.states == ["1"])
        assert world.counters.undecodable == 1


async def test_an_entry_that_is_no_batch_in_the_history_empties_the_window() -> None:
    world = World()
    await world.broker.open()
    batch_id = await world.broker.change("alice", Email="1")
    await world.broker.append(0, b"nonsense")
    world.feed.start()
    await world.until(lambda: world.feed.live)
    assert world.feed.window.find(Position(0, check_of(batch_id))) is Place.BEFORE
    assert world.owner.states == []
    assert world.owner.gaps == 0, "nobody was told of anything before it"
    await world.feed.stop()
    await world.broker.close()


async def test_a_reset_makes_a_resync_that_a_source_asked_for_and_no_error() -> None:
    async with running("1") as world:
        with capture_logs() as logs:
            await world.broker.append(0, batch.encode_reset(token_bytes(16), time.time()))
            await world.until(lambda: world.owner.gaps == 1)
        assert world.owner.reasons == [ResyncReason.SOURCE]
        assert world.counters.undecodable == world.counters.gaps == 0
        assert [line["log_level"] for line in logs if "shard" in line] == ["info"]
        await world.broker.change("alice", Email="2")
        await world.until(lambda: world.owner.states == ["2"])
        assert world.feed.live


async def test_a_reset_in_the_history_empties_the_window() -> None:
    world = World()
    await world.broker.open()
    batch_id = await world.broker.change("alice", Email="1")
    await world.broker.append(0, batch.encode_reset(token_bytes(16), time.time()))
    world.feed.start()
    await world.until(lambda: world.feed.live)
    assert world.feed.window.find(Position(0, check_of(batch_id))) is Place.BEFORE
    assert world.owner.gaps == 0, "nobody was told of anything before it"
    await world.feed.stop()
    await world.broker.close()


async def test_an_entry_that_is_no_batch_is_one_gap_however_often_it_is_read() -> None:
    async with running() as world:
        # No marker comes behind it.
        world.broker.accepts = False
        await MemoryLog.append(world.broker, 0, b"nonsense")
        await world.until(lambda: world.owner.gaps == 1)
        for _ in range(3):
            attached = world.broker.attached
            world.broker.cut(0)
            await world.until(lambda: world.broker.attached > attached)  # noqa: B023 - awaited at once
        world.broker.accepts = True
        await world.broker.change("alice", Email="1")
        await world.until(lambda: world.feed.live and world.owner.states == ["1"])
        assert world.owner.gaps == world.counters.undecodable == 1


async def test_an_entry_that_is_no_batch_is_no_other_gap_when_a_slow_broker_is_doubted() -> None:
    async with running("1") as world:
        world.broker.accepts = False
        await MemoryLog.append(world.broker, 0, b"nonsense")
        await world.until(lambda: world.owner.gaps == 1)
        world.broker.accepts = True
        await world.stall()
        attached = world.broker.attached
        await world.broker.change("alice", Email="2")
        await world.until(lambda: world.broker.attached > attached and world.feed.live)
        assert world.owner.states == ["2"]
        assert world.owner.gaps == world.counters.undecodable == 1


async def test_not_live_while_no_marker_can_be_appended_but_goes_live_after() -> None:
    world = World()
    await world.broker.open()
    world.broker.accepts = False
    world.feed.start()
    await asyncio.sleep(0.5)
    assert not world.feed.live
    world.broker.accepts = True
    await world.until(lambda: world.feed.live)
    await world.feed.stop()
    await world.broker.close()


async def test_goes_live_though_others_are_never_silent() -> None:
    world = World()
    await world.broker.open()
    world.broker.accepts = False
    world.feed.start()
    await world.until(lambda: world.broker.refused)
    world.broker.accepts = True

    async def talk() -> None:
        while True:
            await world.broker.change("alice", Email="1")
            await asyncio.sleep(0.01)

    talking = asyncio.create_task(talk())
    await world.until(lambda: world.feed.live)
    talking.cancel()
    await world.feed.stop()
    await world.broker.close()


async def test_prove_returns_when_all_that_was_there_has_been_read() -> None:
    async with running() as world:
        world.broker.mute(0)
        await world.broker.change("alice", Email="1")
        before = time.monotonic()
        async with within(DEADLINE):
            proof = await world.feed.prove()
        assert world.owner.states == ["1"]
        assert proof is not None
        assert proof.shard == 0
        assert batch.decode(world.broker._shards[0].entries[proof.offset][1]).is_marker
        assert before <= proof.sent <= time.monotonic()


async def test_prove_waits_for_a_log_that_takes_nothing_and_ends_with_the_feed() -> None:
    async with running() as world:
        world.broker.accepts = False
        proving = asyncio.create_task(world.feed.prove())
        await asyncio.sleep(0.1)
        assert not proving.done()
        await world.feed.stop()
        async with within(DEADLINE):
            assert await proving is None


async def test_a_feed_that_can_prove_nothing_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "UNPROVEN_SECONDS", 0.2)
    with structlog.testing.capture_logs() as logs:
        async with running() as world:
            world.broker.accepts = False
            heard = world.feed.heard_at
            await world.until(lambda: logs)
            await asyncio.sleep(0.5)
            assert world.feed.live, "there may be nothing to hear"
            assert world.feed.heard_at == heard
    assert [line["event"] for line in logs] == ["feed unproven"]


async def test_what_nobody_is_connected_for_is_kept_and_counted_but_not_told() -> None:
    async with running() as world:
        before, position = world.counters.changes, world.feed.window.position
        world.owner.absent.add("bob")
        await world.broker.change("bob", Email="1")
        await world.broker.change("alice", Email="2")
        await world.until(lambda: world.owner.states)
        assert world.owner.states == ["2"]
        assert world.counters.changes == before + 2
        _, changes = world.owner.batches[-2]
        assert changes == []
        world.owner.absent.clear()
        # Since then, and not since the batch before: a marker may have come with it.
        assert position is not None
        assert world.feed.window.missed("bob", position) == {"Email": "1"}
