from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from secrets import token_bytes

import pytest
from structlog.testing import capture_logs

from tests.support.unreliable import UnreliableLog
from tests.support.waiting import eventually
from tidings.gateway import replay
from tidings.gateway.history import Seeker
from tidings.gateway.pending import ResyncReason
from tidings.gateway.replay import Replays
from tidings.gateway.window import Place
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
        self.replays = Replays(self.log, self.find, self.take_back)

    def find(self, shard: int, position: Position) -> Place:
        return Place.BEFORE if position.offset < self.until else Place.INSIDE

    def take_back(self, shard: int, seeker: Seeker) -> None:
        if seeker.fault is None and not seeker.gone and self.find(shard, seeker.position) is Place.BEFORE:
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
    seekers = [Seeker(("alice",), position) for position in positions[3:9]]
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
        world.replays.ask(shard, Seeker(("alice",), positions[0]))
    while len(world.done) < shards:
        most = max(most, world.replays.reads)
        await asyncio.sleep(0)
    assert most == replay.MAX_READS
    assert all(seeker.missed == {"alice": {"Email": "10"}} for seeker in world.done)


async def test_a_read_that_is_cut_off_or_silent_goes_on_where_it_was(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill(count=5)
    world.replays.ask(0, Seeker(("alice",), positions[0]))
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
    world.replays.ask(0, Seeker(("alice",), positions[0]))
    behind = Seeker(("alice",), Position(5, check_of(b"nonsense")))
    world.replays.ask(0, behind)
    await eventually(lambda: len(world.done) == 2)
    assert {seeker.fault for seeker in world.done} == {ResyncReason.GAP, None}
    assert behind.missed == {"alice": {"Email": "4"}}, "the entry at offset 10"


async def test_after_a_fault_of_ours_everybody_has_an_answer(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill()

    def fail(shard: int, position: Position) -> Place:
        raise KeyError("a fault")

    world.replays = Replays(world.log, fail, world.take_back)
    world.replays.ask(0, Seeker(("alice",), positions[0]))
    world.replays.ask(0, Seeker(("alice",), positions[5]))
    with capture_logs() as logs:
        await eventually(lambda: len(world.done) == 2)
    assert [seeker.fault for seeker in world.done] == [ResyncReason.GAP, ResyncReason.GAP]
    assert [line["error"] for line in logs] == ["KeyError('a fault')"]
    assert world.replays.reads == 0


async def test_for_those_who_are_gone_nothing_is_read(make: Callable[..., World]) -> None:
    world = make()
    await world.log.open()
    positions = await world.fill()
    seeker = Seeker(("alice",), positions[0])
    world.replays.ask(0, seeker)
    seeker.gone = True
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.log.attached == 0
