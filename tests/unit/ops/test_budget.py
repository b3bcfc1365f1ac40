import pytest

from tidings.ops.budget import LEAST_BYTES, UNBOUNDED, Budget, Level, assess, budget_bytes, excess


def test_what_does_not_fit_is_refused_and_not_counted() -> None:
    budget = Budget(100)
    heads, messages = budget.account("heads", 0.5), budget.account("messages")
    assert heads.take(50)
    assert not heads.take(1)
    assert messages.take(50)
    assert not messages.take(1)
    assert (budget.held, heads.held, messages.held) == (100, 50, 50)
    assert (heads.refused, messages.refused) == (1, 1)


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Budget(10)
    account = budget.account("heads")
    assert account.take(10)
    account.give(4)
    assert account.take(4)
    assert budget.held == account.held == 10


def test_what_is_there_anyway_is_counted_whether_or_not_it_fits() -> None:
    budget = Budget(10)
    account = budget.account("windows")
    account.add(20)
    assert not budget.account("heads").take(1)
    account.add(-15)
    assert budget.account("heads").take(5)
    assert budget.held == 10


def test_an_account_may_have_a_bound_of_its_own() -> None:
    account = Budget(100).account("windows", 0.5, 20)
    assert account.limit == 20
    assert not account.take(21)
    assert Budget(100).account("windows", 0.5, 70).limit == 50


def test_an_account_is_one_by_its_name() -> None:
    budget = Budget(10)
    assert budget.account("heads") is budget.account("heads")
    assert list(budget.accounts) == ["heads"]


def test_a_budget_of_nothing_has_no_bound() -> None:
    budget = Budget()
    assert budget.limit == UNBOUNDED
    assert budget.account("heads").take(10**15)


def test_a_small_container_leaves_some_bytes_to_hold() -> None:
    assert budget_bytes(512 * 2**20) == 208 * 2**20
    assert budget_bytes(64 * 2**20) == LEAST_BYTES


@pytest.mark.parametrize(
    ("used", "before", "level"),
    [
        (79, Level.CALM, Level.CALM),
        (80, Level.CALM, Level.TIGHT),
        (76, Level.TIGHT, Level.TIGHT),
        (74, Level.TIGHT, Level.CALM),
        (89, Level.TIGHT, Level.TIGHT),
        (90, Level.TIGHT, Level.CRITICAL),
        (86, Level.CRITICAL, Level.CRITICAL),
        (84, Level.CRITICAL, Level.TIGHT),
        (0, Level.CRITICAL, Level.CALM),
    ],
)
def test_a_level_begins_at_its_bound_and_ends_somewhat_below(used: int, before: Level, level: Level) -> None:
    assert assess(used, 100, Budget(1000), before) is level


def test_what_is_counted_makes_the_level_too() -> None:
    budget = Budget(1000)
    budget.account("heads").add(850)
    assert assess(10, 100, budget, Level.CALM) is Level.TIGHT
    assert excess(10, 100, budget) == 100
    assert excess(95, 100, Budget(1000)) == 20
    assert excess(10, 100, Budget(1000)) == 0


def test_an_account_has_its_own_bound_where_the_budget_has_none() -> None:
    account = Budget().account("heads", 0.5, 100)
    assert account.take(100)
    assert not account.take(1)
