from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.connections import connection_of
from tests.support.waiting import eventually
from tidings.gateway.model.connection import Connection
from tidings.gateway.resume.toll import Toll


class World:
    def __init__(self) -> None:
        self.going: list[Connection] = []
        self.toll = Toll(self.going.extend)


@pytest.fixture(autouse=True)
def _rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.resume.toll.SHARE", 0.1)
    monkeypatch.setattr("tidings.gateway.resume.toll.BURST_SECONDS", 0.01)


async def test_whoever_has_cost_too_much_waits_until_it_may_cost_something_again() -> None:
    world, one = World(), connection_of("alice")
    assert world.toll.lets_pass(one, ["alice"])
    world.toll.charge([one, "alice"], 0.04)
    begun = time.monotonic()
    assert not world.toll.lets_pass(one, [])
    assert one in world.toll
    assert len(world.toll) == 1
    await eventually(lambda: world.going == [one])
    assert time.monotonic() - begun >= 0.25
    assert world.toll.lets_pass(one, ["alice"])


async def test_an_account_pays_for_all_its_connections() -> None:
    world, reconnected, another = World(), connection_of("alice"), connection_of("bob")
    world.toll.charge(["alice"], 0.04)
    assert world.toll.lets_pass(reconnected, []), "nothing is asked for the sake of the account"
    assert not world.toll.lets_pass(reconnected, ["alice"])
    assert world.toll.lets_pass(another, ["bob"])


async def test_who_has_left_does_not_go_on_and_what_it_cost_stays_with_its_account() -> None:
    world, gone, stays = World(), connection_of("alice"), connection_of("alice")
    world.toll.charge([gone, stays, "alice"], 0.03)
    world.toll.charge([stays], 0.0)
    for one in (gone, stays):
        assert not world.toll.lets_pass(one, ["alice"])
    world.toll.forget(gone)
    assert world.toll.lets_pass(gone, [])
    assert not world.toll.lets_pass(gone, ["alice"])
    world.toll.discard(gone)
    await eventually(lambda: world.going == [stays])


async def test_each_goes_when_it_is_due_however_late_others_are() -> None:
    world, late, soon = World(), connection_of("alice"), connection_of("bob")
    world.toll.charge([late], 1_000.0)
    world.toll.charge([soon], 0.02)
    assert not world.toll.lets_pass(late, [])
    assert not world.toll.lets_pass(soon, [])
    assert not world.toll.lets_pass(late, [])
    await eventually(lambda: world.going == [soon])
    assert late in world.toll
    world.toll.stop()


async def test_once_stopped_nobody_goes_on() -> None:
    world, one = World(), connection_of("alice")
    world.toll.stop()
    world.toll.charge([one], 0.011)
    assert not world.toll.lets_pass(one, [])
    world.toll.stop()
    await asyncio.sleep(0.3)
    assert world.going == []
