from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from secrets import token_bytes

import pytest
from structlog.testing import capture_logs

from tests.support.connections import seeker_of
from tests.support.unreliable import UnreliableLog
from tests.support.waiting import eventually
from tidings.gateway.feeds.window import Place
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.pending import ResyncReason
from tidings.gateway.resume import replay
from tidings.gateway.resume.history import START_SECONDS, Seeker
from tidings.gateway.resume.replay import Replays
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.cursor import Position, check_of


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(replay, "RETRY_SECONDS", (0.01, 0.02))


class World:
    """A log of `shards` shards whose windows begin at offset `until`."""

    def __init__(self, shards: int = 1, until: int = 10) -> None:
        self.log = UnreliableLog(shards)
        self.until = until
        self.done: list[Seeker] = []
        self.charged: list[tuple[Connection | str, float]] = []
        self.replays = Replays(self.log, self.find, self.take_back, self.charge)

    def charge(self, payers: Iterable[Connection | str], seconds: float) -> None:
        self.charged += [(payer, seconds) for payer in payers]

    def find(self, shard: int, position: Position) -> Place:
        return Place.BEFORE if position.offset < self.until else Place.INSIDE

    def take_back(self, shard: int, seeker: Seeker) -> None:
        if seeker.fault is None and self.find(shard, seeker.position) is Place.BEFORE:
            self.replays.ask(shard, seeker)
        else:
            self.done.append(seeker)

    async def fill(self, shard: int = 0, count: int = 12) -> list[Position]:
        positions = []
        for offset in range(count):
            batch_id = token_bytes(16)
            change = Change("alice", {"Email": str(offset)}, "FlagsSet", "1", "test")
            await self.log.append(shard, batch.encode(batch_id, 0.0, (change,)))
            positions.append(Position(offset, check_of(batch_id)))
        return positions


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., World]]:
    worlds: list[World] = []

    def build(shards: int = 1) -> World:
        worlds.append(World(shards))
        return worlds[-1]

    yield build
    for world in worlds:
        await world.replays.stop()


async def test_everybody_of_a_shard_shares_a_read_that_ends_where_the_window_begins(
    make: Callable[..., World],
) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill()
    seekers = [seeker_of(position) for position in positions[3:9]]
    for seeker in seekers:
        world.replays.ask(0, seeker)
    await eventually(lambda: len(world.done) == len(seekers))
    assert world.log.attached == 1
    assert all(seeker.missed == {"alice": {"Email": "10"}} for seeker in seekers)
    assert all(seeker.position == positions[10] for seeker in seekers)
    assert world.replays.reads == 0


async def test_no_more_than_a_few_are_read_at_once_and_each_gets_its_turn(
    make: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PASS_ENTRIES", 2)
    world, shards = make(3 * replay.MAX_READS), 3 * replay.MAX_READS
    await world.log.open()
    most = 0
    for shard in range(shards):
        positions = await world.fill(shard)
        world.replays.ask(shard, seeker_of(positions[0]))
    while len(world.done) < shards:
        most = max(most, world.replays.reads)
        await asyncio.sleep(0)
    assert most == replay.MAX_READS
    assert all(seeker.missed == {"alice": {"Email": "10"}} for seeker in world.done)


async def test_a_read_that_is_cut_off_or_silent_goes_on_where_it_was(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill(count=5)
    world.replays.ask(0, seeker_of(positions[0]))
    await eventually(lambda: world.log.attached >= 2)
    world.log.mute(0)
    await eventually(lambda: world.log.attached >= 4)
    world.log.cut(0)
    assert world.done == []
    await world.fill(count=12)
    await eventually(lambda: world.done)
    assert world.done[0].missed == {"alice": {"Email": "5"}}, "the entry at offset 10"


async def test_what_nobody_can_read_on_the_way_is_a_gap(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill(count=5)
    await world.log.append(0, b"nonsense")
    await world.fill()
    world.replays.ask(0, seeker_of(positions[0]))
    behind = seeker_of(Position(5, check_of(b"nonsense")))
    world.replays.ask(0, behind)
    await eventually(lambda: len(world.done) == 2)
    assert {seeker.fault for seeker in world.done} == {ResyncReason.GAP, None}
    assert behind.missed == {"alice": {"Email": "4"}}, "the entry at offset 10"


async def test_a_reset_on_the_way_is_a_resync_that_a_source_asked_for(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill(count=5)
    await world.log.append(0, batch.encode_reset(b"r" * 16, 1.0))
    await world.fill()
    world.replays.ask(0, seeker_of(positions[0]))
    await eventually(lambda: world.done)
    assert world.done[0].fault is ResyncReason.SOURCE


async def test_after_a_fault_of_ours_everybody_has_an_answer(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill()

    def fail(shard: int, position: Position) -> Place:
        raise KeyError("a fault")

    world.replays = Replays(world.log, fail, world.take_back, world.charge)
    world.replays.ask(0, seeker_of(positions[0]))
    world.replays.ask(0, seeker_of(positions[5]))
    with capture_logs() as logs:
        await eventually(lambda: len(world.done) == 2)
    assert [seeker.fault for seeker in world.done] == [ResyncReason.GAP, ResyncReason.GAP]
    assert [line["error"] for line in logs] == ["KeyError('a fault')"]
    assert world.replays.reads == 0


async def test_for_those_who_are_gone_nothing_is_read(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill()
    seeker = seeker_of(positions[0])
    world.replays.ask(0, seeker)
    world.replays.forget(0, seeker)
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.log.attached == 0


async def test_a_pass_is_charged_once_to_an_account_and_to_each_who_asks(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill()
    seekers = [seeker_of(position) for position in positions[:3]]
    for seeker in seekers:
        world.replays.ask(0, seeker)
    await eventually(lambda: len(world.done) == len(seekers))
    payers = [payer for payer, _ in world.charged]
    assert payers.count("alice") == 1
    assert [payers.count(seeker.whose) for seeker in seekers] == [1, 1, 1]
    assert all(seconds > START_SECONDS for _, seconds in world.charged)


async def test_who_asks_and_leaves_again_and_again_pays_each_time_and_leaves_nothing(
    make: Callable[..., World],
) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill(count=5)
    stays = seeker_of(positions[1])
    world.replays.ask(0, stays)
    await eventually(lambda: world.replays.reads)
    gone = [seeker_of(position) for position in (positions[0], Position(9, b"none")) * 20]
    for seeker in gone:
        world.replays.ask(0, seeker)
        world.replays.forget(0, seeker)
    # Those whose position the pass had left behind would have waited for another one, which costs nothing yet.
    assert [payer for payer, _ in world.charged] == [seeker.whose for seeker in gone[1::2]]
    await world.fill()
    await eventually(lambda: world.done == [stays])
    attached = world.log.attached
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.log.attached == attached


async def test_what_is_cut_off_is_not_charged(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill(count=5)
    world.replays.ask(0, seeker_of(positions[0]))
    await eventually(lambda: world.log.attached >= 3)
    assert world.charged == []


async def test_passes_rest_for_longer_than_they_work(
    make: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many read at once: others have most of the turns."""
    # A reader is given nothing while others have their turn: on a busy machine, for long.
    monkeypatch.setattr(replay, "SILENCE_SECONDS", 600.0)
    shards = replay.MAX_READS
    world = make(shards)
    world.until = 400
    await world.log.open()
    for shard in range(shards):
        batch_id = token_bytes(16)
        await world.log.append(shard, batch.encode(batch_id, 0.0, ()))
        changes = tuple(Change(f"user{number}", {"Email": "1"}, "FlagsSet", "1", "test") for number in range(500))
        for _ in range(world.until):
            await world.log.append(shard, batch.encode(token_bytes(16), 0.0, changes))
        world.replays.ask(shard, seeker_of(Position(0, check_of(batch_id))))
    loop_turns, worked, began = 0, time.thread_time(), time.monotonic()
    while len(world.done) < shards:
        await asyncio.sleep(0.001)
        loop_turns += 1
    worked, took = time.thread_time() - worked, time.monotonic() - began
    assert not any(seeker.fault for seeker in world.done)
    assert took > 1.5 * worked
    # Few batches in a turn, and others have several turns after each.
    assert loop_turns > shards * world.until / 8
