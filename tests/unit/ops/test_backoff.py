from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.ops.backoff import Backoff

FULL = Backoff(shortest=0.2, first=0.4, longest=5.0, share=0.0)
HALF = Backoff(shortest=0.05, first=0.1, longest=10.0)
failures = st.integers(1, 100_000)


@given(failures, st.floats(0, 1))
def test_a_pause_is_bounded_and_never_nothing(number: int, draw: float) -> None:
    assert 0.2 <= FULL.pause(number, draw) <= 5.0
    assert 0.05 <= HALF.pause(number, draw) <= 10.0


@given(failures)
def test_a_pause_is_spread_over_its_share(number: int) -> None:
    assert FULL.pause(number, 0.0) == 0.2
    assert HALF.pause(number, 0.0) == HALF.pause(number, 1.0) / 2
    for backoff in (FULL, HALF):
        assert backoff.pause(number, 0.0) < backoff.pause(number, 0.5) < backoff.pause(number, 1.0)


@pytest.mark.parametrize("backoff", [FULL, HALF])
def test_pauses_double_up_to_the_longest(backoff: Backoff) -> None:
    pauses = [backoff.pause(number, 1.0) for number in range(1, 20)]
    assert pauses[0] == backoff.first
    assert all(longer in (2 * shorter, backoff.longest) for shorter, longer in pairwise(pauses))
    assert pauses[-1] == backoff.longest
