from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.limits.pace import Pace


def test_no_rate_is_no_bound() -> None:
    pace = Pace(0, at_once=0)
    assert pace.take(0.0, 10_000) == 10_000
    assert pace.due(0.0) == 0.0


def test_after_a_pause_a_few_go_at_once_and_then_one_after_the_other() -> None:
    pace = Pace(10, at_once=2)
    assert pace.take(100.0, 5) == 2
    assert pace.take(100.0, 3) == 0
    assert 0 < pace.due(100.0) <= 0.11
    assert pace.take(100.0 + pace.due(100.0) + 1e-9, 3) == 1


@given(
    st.floats(0.5, 1000),
    st.floats(1, 1000),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 50)), min_size=1, max_size=50),
)
def test_in_no_time_more_go_than_the_rate_allows(rate: float, at_once: float, asked: list[tuple[float, int]]) -> None:
    pace, now, gone = Pace(rate, at_once), 50.0, 0
    for pause, wanted in asked:
        now += pause
        gone += pace.take(now, wanted)
        assert gone <= (now - 50.0) * rate + at_once + 1e-6
