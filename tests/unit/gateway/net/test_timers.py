from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.connections import connection_of
from tidings.gateway.model.connection import Connection, Handler
from tidings.gateway.net.timers import SWEEP_EACH, SWEEP_MOST, Wheel

OPEN = Handler()


def opened() -> Connection:
    return Connection(-1, OPEN)


@given(st.floats(0, 1e6), st.floats(0, 1e4))
def test_never_early_and_at_most_two_steps_late(now: float, ahead: float) -> None:
    wheel, visited = Wheel(now), connection_of()
    wheel.add(visited, now + ahead)
    assert wheel.advance(now + ahead - 1e-3 * Wheel.resolution) == []
    assert wheel.advance(now + ahead + 2 * Wheel.resolution) == [visited]
    assert wheel.advance(now + ahead + 1e4) == []


def test_what_is_past_is_visited_next() -> None:
    wheel, visited = Wheel(1000.0), connection_of()
    wheel.add(visited, 3.0)
    assert wheel.advance(1000.0) == []
    assert wheel.advance(1000.0 + Wheel.resolution) == [visited]


def test_a_long_stall_visits_everybody_once() -> None:
    wheel = Wheel(0.0)
    waiting = [connection_of() for _ in range(10)]
    for index, one in enumerate(waiting):
        wheel.add(one, index * 5.0)
    assert sorted(map(id, wheel.advance(1e6))) == sorted(map(id, waiting))
    assert wheel.advance(2e6) == []


def test_time_that_goes_back_visits_nobody() -> None:
    wheel = Wheel(100.0)
    wheel.add(connection_of(), 101.0)
    assert wheel.advance(50.0) == []


def test_those_that_are_closed_leave_before_their_time() -> None:
    wheel = Wheel(0.0)
    waiting = [opened() for _ in range(100)]
    for number, one in enumerate(waiting):
        wheel.add(one, 100.0 + number / 10)
    alone = opened()
    wheel.add(alone, 200.0)
    gone = [*waiting[:50:2], *waiting[50:]]
    for one in gone:
        one.handler = connection_of().handler
        wheel.closed()
    wheel.sweep()
    assert len(wheel) == 26
    assert wheel.advance(300.0) == [*waiting[1:50:2], alone]


def test_without_anybody_closed_nobody_is_looked_for() -> None:
    wheel, gone = Wheel(0.0), connection_of()
    wheel.add(gone, 100.0)
    wheel.sweep()
    assert len(wheel) == 1
    wheel.closed()
    wheel.sweep()
    assert len(wheel) == 0
    wheel.closed()
    wheel.sweep()


def test_a_sweep_is_bounded_and_the_next_one_goes_on() -> None:
    wheel = Wheel(0.0)
    turns = 100
    for turn in range(turns):
        for _ in range(SWEEP_MOST // 10):
            wheel.add(connection_of(), turn * Wheel.resolution)
    wheel.closed()
    wheel.sweep()
    left = len(wheel)
    assert left >= turns * SWEEP_MOST // 10 - SWEEP_MOST - SWEEP_MOST // 10 - SWEEP_EACH
    for _ in range(turns):
        # Turns that came meanwhile are as good as swept.
        wheel.advance(wheel.resolution)
        wheel.sweep()
    assert len(wheel) == 0


def test_of_those_that_come_and_go_few_are_kept() -> None:
    wheel, number = Wheel(0.0), 0
    for tick in range(1, 100):
        for _ in range(500):
            number += 1
            wheel.add(connection_of(), tick * Wheel.resolution + 1.0 + number % 300)
            wheel.closed()
        wheel.advance(tick * Wheel.resolution)
        wheel.sweep()
        assert len(wheel) < 2_000
