from __future__ import annotations

from signal import SIGKILL, SIGRTMIN

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.ops.process.workers.restarts import (
    BACKOFF,
    FAULT_EXIT,
    STABLE_SECONDS,
    deaths_in_a_row,
    description,
    is_fault,
)


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_a_pause_is_bounded_and_never_nothing(deaths: int, draw: float) -> None:
    assert 0.05 <= BACKOFF.pause(deaths, draw) <= 10.0


def test_a_stable_run_starts_the_count_again() -> None:
    assert deaths_in_a_row(0, 0.0) == 1
    assert deaths_in_a_row(7, STABLE_SECONDS - 0.1) == 8
    assert deaths_in_a_row(7, STABLE_SECONDS) == 1


@pytest.mark.parametrize(
    ("exit_code", "ever_started", "fault"),
    [(FAULT_EXIT, False, True), (FAULT_EXIT, True, False), (1, False, False), (0, False, False), (-9, False, False)],
)
def test_only_a_fault_before_the_first_start_is_for_the_operator(
    exit_code: int, ever_started: bool, fault: bool
) -> None:
    assert is_fault(exit_code, ever_started=ever_started) is fault


def test_ends_are_told_by_name() -> None:
    assert description(0) == {"exit_code": 0}
    assert description(3) == {"exit_code": 3}
    assert description(-SIGKILL) == {"signal": "SIGKILL"}
    assert description(-(SIGRTMIN + 1)) == {"signal": SIGRTMIN + 1}
