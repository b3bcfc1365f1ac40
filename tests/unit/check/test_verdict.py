from __future__ import annotations

import pytest

from tests.unit.check.test_ledger import ACCOUNT, Run
from tidings.check.ledger import RESYNC, Arrival, Key
from tidings.check.verdict import losses

EMAIL = Key(ACCOUNT, "Email")


def lost(run: Run, order: list[int] | None = None) -> list[tuple[int, int]]:
    """Expected and last of what is lost."""
    found = losses(run.ledger, None if order is None else {EMAIL: order})
    assert {loss.key for loss in found} <= {EMAIL}
    return [(loss.expected, loss.last) for loss in found]


@pytest.fixture
def run() -> Run:
    return Run(types=("Email",))


def test_nothing_sent_is_nothing_lost(run: Run) -> None:
    assert lost(run) == lost(run, []) == []


def test_the_last_acknowledged_is_to_be_known(run: Run) -> None:
    run.send("Email")
    assert lost(run) == lost(run, [1]) == [(1, 0)]
    run.told(1)
    assert lost(run) == lost(run, [1]) == []
    run.send("Email")
    assert lost(run) == lost(run, [1, 2]) == [(2, 1)]


def test_what_was_merged_into_a_later_one_is_not_lost(run: Run) -> None:
    run.send("Email"), run.send("Email")
    run.told(2)
    assert lost(run) == lost(run, [1, 2]) == []


def test_what_was_not_acknowledged_is_lost_only_when_the_log_has_it(run: Run) -> None:
    run.send("Email", acknowledged=False)
    assert lost(run) == lost(run, []) == []
    assert lost(run, [1]) == [(1, 0)]


@pytest.mark.parametrize(("arrival", "state"), [(Arrival.LIVE, f"{RESYNC}x"), (Arrival.FIRST, "x")])
def test_a_resynchronisation_covers_what_was_sent_before_and_no_more(run: Run, arrival: Arrival, state: str) -> None:
    run.send("Email")
    run.now = 1.0
    run.told(state, arrival=arrival)
    assert lost(run) == lost(run, [1]) == []
    run.now = 2.0
    run.send("Email")
    assert lost(run) == lost(run, [1, 2]) == [(2, 0)]


def test_the_state_told_last_is_the_logs_last(run: Run) -> None:
    """An attempt that failed may stand in the log behind what came after it."""
    run.send("Email").attempts = 2
    run.send("Email")
    run.told(2)
    assert lost(run, [1, 2, 1]) == [(1, 2)]
    run.told(1)
    assert lost(run, [1, 2, 1]) == []
    assert lost(run, [1, 2]) == [(2, 1)]


def test_without_the_log_a_copy_that_is_told_last_is_believed(run: Run) -> None:
    run.send("Email").attempts = 2
    run.now = 1.0
    run.send("Email")
    run.told(1)
    assert lost(run) == []


def test_without_the_log_no_copy_is_believed_that_was_told_before_or_cannot_be(run: Run) -> None:
    run.send("Email").attempts = 2
    run.told(1)
    run.now = 1.0
    run.send("Email")
    assert lost(run) == [(2, 1)]
    run.send("Email")
    run.told(2)
    assert lost(run) == [(3, 2)]


def test_what_a_recreated_log_does_not_have_is_to_be_known_all_the_same(run: Run) -> None:
    run.send("Email"), run.send("Email")
    run.told(1)
    assert lost(run, [1]) == [(2, 1)]
    assert lost(run, []) == [(2, 1)]
    run.told(f"{RESYNC}x")
    assert lost(run, [1]) == lost(run, []) == []
