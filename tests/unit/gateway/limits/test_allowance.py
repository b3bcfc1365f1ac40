from __future__ import annotations

import pytest

from tidings.gateway.limits.allowance import Allowance


def test_a_burst_goes_at_once_and_then_a_share_of_the_time() -> None:
    allowance, now = Allowance(share=0.1, burst=1.0), 1000.0
    for _ in range(10):
        assert allowance.due(["a"], now) == 0
        allowance.charge("a", 0.1, now)
    assert allowance.due(["a"], now) == 0
    allowance.charge("a", 0.2, now)
    assert allowance.due(["a"], now) == pytest.approx(2.0)
    assert allowance.due(["a"], now + 2.5) == 0


def test_what_is_not_used_is_not_saved_up() -> None:
    allowance = Allowance(share=0.1, burst=1.0)
    allowance.charge("a", 0.5, 0.0)
    allowance.charge("a", 2.0, 1000.0)
    assert allowance.due(["a"], 1000.0) == pytest.approx(10.0)


def test_all_payers_have_to_be_good_for_it() -> None:
    allowance = Allowance(share=0.1, burst=0.0)
    allowance.charge("a", 0.1, 0.0)
    allowance.charge("b", 0.3, 0.0)
    assert allowance.due(["a", "b", "c"], 0.0) == pytest.approx(3.0)
    assert allowance.due(["a", "c"], 0.0) == pytest.approx(1.0)
    assert allowance.due([], 0.0) == 0
    allowance.forget("b")
    allowance.forget("nobody")
    assert allowance.due(["a", "b", "c"], 0.0) == pytest.approx(1.0)


def test_who_has_cost_nothing_lately_is_not_remembered() -> None:
    allowance = Allowance(share=0.5, burst=1.0)
    for number in range(10_000):
        allowance.charge(number, 0.01, float(number))
    assert len(allowance) < 1_000
