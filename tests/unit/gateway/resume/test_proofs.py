from __future__ import annotations

import asyncio
import time
from typing import cast

import pytest

from tests.support.connections import connection_of
from tests.support.waiting import eventually
from tidings.gateway.feeds.pool import Feed
from tidings.gateway.model.connection import Connection
from tidings.gateway.resume.proofs import PAUSE_SECONDS, Proofs


class Log:
    """A feed whose markers come back when the test says so."""

    def __init__(self) -> None:
        self.markers = 0
        self.back = asyncio.Event()

    async def prove(self) -> None:
        self.markers += 1
        await self.back.wait()


class World:
    def __init__(self) -> None:
        self.log = Log()
        self.feeds = {3: cast("Feed", self.log)}
        self.proven: list[Connection] = []
        self.proofs = Proofs(self.feeds, lambda shard, connections: self.proven.extend(connections))


@pytest.fixture
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.resume.proofs.PAUSE_SECONDS", 0.01)


async def test_one_marker_answers_all_who_asked_before_it() -> None:
    world, asking = World(), [connection_of("alice") for _ in range(5)]
    for connection in asking:
        world.proofs.ask(3, connection)
    await eventually(lambda: world.log.markers)
    world.log.back.set()
    await eventually(lambda: world.proven == asking)
    assert world.log.markers == world.proofs.begun == 1


@pytest.mark.usefixtures("_hurry")
async def test_who_asks_while_a_marker_is_on_its_way_waits_for_the_next() -> None:
    world, first, late = World(), connection_of("alice"), connection_of("bob")
    world.proofs.ask(3, first)
    await eventually(lambda: world.log.markers)
    world.proofs.ask(3, late)
    world.proofs.ask(3, late)
    back, world.log.back = world.log.back, asyncio.Event()
    back.set()
    await eventually(lambda: world.proven == [first])
    await eventually(lambda: world.log.markers == 2)
    world.log.back.set()
    await eventually(lambda: world.proven == [first, late])


async def test_markers_of_a_shard_have_a_pause_between_them() -> None:
    world, begun = World(), time.monotonic()
    world.log.back.set()
    for count in range(3):
        world.proofs.ask(3, connection_of("alice"))
        await eventually(lambda: len(world.proven) > count)  # noqa: B023 - now
    assert time.monotonic() - begun >= 2 * PAUSE_SECONDS
    assert world.log.markers == 3


@pytest.mark.usefixtures("_hurry")
async def test_while_no_marker_can_be_appended_nothing_is_kept_of_who_has_left() -> None:
    world, stays = World(), connection_of("alice")
    world.proofs.ask(3, stays)
    await eventually(lambda: world.log.markers)
    for _ in range(100):
        gone = connection_of("alice")
        world.proofs.ask(3, gone)
        world.proofs.forget(gone, (3, 5))
    world.proofs.forget(stays, (3,))
    world.log.back.set()
    await asyncio.sleep(0.05)
    assert world.proven == []
    assert world.log.markers == 1


async def test_it_can_be_stopped_while_a_marker_is_on_its_way() -> None:
    world = World()
    world.proofs.ask(3, connection_of("alice"))
    await eventually(lambda: world.log.markers)
    await world.proofs.stop()
    assert world.proven == []
