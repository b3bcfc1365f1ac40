from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.connections import connection_of
from tidings.gateway.timers import Wheel


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
