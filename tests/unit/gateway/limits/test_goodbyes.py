from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from tidings.gateway.limits.goodbyes import CATCH_UP_SECONDS, MIN_PER_SECOND, STEP_SECONDS, Goodbyes
from tidings.gateway.model.connection import AgeLimit, end_of

COUNTS = st.integers(1, 100_000)
SECONDS = st.floats(0.5, 600)
STARTS = st.floats(0, 1e6)


def taken(goodbyes: Goodbyes, times: list[float]) -> list[int]:
    return [goodbyes.due(now) for now in times]


@given(COUNTS, SECONDS, STARTS)
def test_goodbyes_lie_on_a_straight_line(count: int, seconds: float, start: float) -> None:
    goodbyes = Goodbyes(count, seconds, start)
    steps = int(goodbyes.seconds / STEP_SECONDS)
    gone = 0
    for step in range(1, steps + 1):
        gone += goodbyes.due(start + step * STEP_SECONDS)
        assert abs(gone - count * step * STEP_SECONDS / goodbyes.seconds) <= 1.01 or step == steps
    assert gone + goodbyes.due(start + goodbyes.seconds) == count


@given(COUNTS, SECONDS, st.lists(st.floats(0, 3), max_size=50))
def test_all_have_gone_at_the_end_and_a_stall_is_not_made_up_for_at_once(
    count: int, seconds: float, pauses: list[float]
) -> None:
    times = [0.0]
    for pause in pauses:
        times.append(times[-1] + pause)
    goodbyes = Goodbyes(count, seconds, 0.0)
    during = [now for now in times if now < goodbyes.seconds]
    left = count
    for before, now in pairwise(during):
        due = goodbyes.due(now)
        assert due <= left / (goodbyes.seconds - before) * CATCH_UP_SECONDS + 1
        left -= due
    assert goodbyes.due(goodbyes.seconds) == left
    assert goodbyes.due(goodbyes.seconds + 1) == 0


@given(COUNTS, SECONDS)
def test_few_are_not_made_to_wait_for(count: int, seconds: float) -> None:
    assert Goodbyes(count, seconds, 0.0).seconds == min(seconds, count / MIN_PER_SECOND)


def test_no_time_means_all_at_once() -> None:
    assert Goodbyes(20_000, 0, 5.0).due(5.0) == 20_000


@given(st.none() | st.floats(0, 1e6), STARTS, st.floats(0, 1, exclude_max=True))
def test_without_a_maximum_age_only_the_token_ends_a_connection(token: float | None, now: float, draw: float) -> None:
    assert end_of(token, now, 0, draw) is token


@given(st.none() | st.floats(0, 2e6), STARTS, st.floats(1, 1e5), st.floats(0, 1, exclude_max=True))
def test_a_connection_ends_with_its_token_or_its_age_whichever_is_sooner(
    token: float | None, now: float, max_age: float, draw: float
) -> None:
    end = end_of(token, now, max_age, draw)
    assert end is not None
    if isinstance(end, AgeLimit):
        assert now + 0.79 * max_age < end <= now + max_age
        assert token is None or end < token
    else:
        assert end == token
        assert end <= now + max_age


@given(st.floats(1, 1e5), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_those_who_came_together_leave_apart(max_age: float, one: float, other: float) -> None:
    assume(abs(one - other) > 0.01)
    first, second = end_of(None, 0.0, max_age, one), end_of(None, 0.0, max_age, other)
    assert first is not None
    assert second is not None
    assert abs(first - second) > 0.001 * max_age
