from __future__ import annotations

import time

import pytest

from tidings.gateway.feeds import log_clock
from tidings.gateway.feeds.log_clock import LogClock


class Clocks:
    """The module `time`, with clocks that the test sets."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.steady = 50.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(log_clock, "time", clocks)
    return clocks


def test_at_first_the_logs_clock_is_taken_to_show_what_ours_does() -> None:
    clock = LogClock()
    assert clock.now() == pytest.approx(time.time(), abs=1)
    assert clock.ahead == pytest.approx(0, abs=1)
    assert not clock.doubted


def test_what_was_measured_counts_and_whoever_sets_our_clock_changes_nothing(clocks: Clocks) -> None:
    clock = LogClock()
    clock.set(shown=999_600.0, monotonic=50.0)
    clocks.pass_by(10.0)
    assert clock.now() == 999_610.0
    assert clock.ahead == 400.0
    assert clock.before(300.0).timestamp == 999_310.0
    clocks.wall += 3600.0
    assert clock.now() == 999_610.0
    assert clock.ahead == 4000.0
    assert clock.now() - clock.offset == clocks.steady


def test_no_read_begins_before_1970(clocks: Clocks) -> None:
    clocks.wall = 10.0
    assert LogClock().before(300.0).timestamp == 0.0
