from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.feeds import mentions
from tidings.gateway.feeds.mentions import MOST, Mentions


@given(st.lists(st.lists(st.integers(0, 40).map(str))), st.integers(0, 60), st.integers(0, 50), st.booleans())
def test_the_changes_of_an_account_come_from_the_newest_back(
    batches: list[list[str]], known: int, expected: int, sealed: bool
) -> None:
    index = Mentions(expected)
    for accounts in batches:
        index.extend(accounts)
    if sealed:
        index.seal()
    row = [account for accounts in batches for account in accounts]
    assert len(index) == len(row)
    for account in {*row, "nobody"}:
        places = [place for place, other in enumerate(row) if other == account and place >= known]
        assert [place for place in index.of(account, known) if row[place] == account] == places[::-1]


def test_changes_of_others_are_hardly_ever_among_those_of_an_account() -> None:
    index = Mentions()
    index.extend(f"user{number}" for number in range(MOST))
    assert sum(place != number for number in range(MOST) for place in index.of(f"user{number}", 0)) <= 4
    assert sum(len(index.of(f"nobody{number}", 0)) for number in range(MOST)) <= 8


def test_an_account_with_the_hash_of_another_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mentions, "hash", lambda _: 7, raising=False)
    index = Mentions()
    index.extend(["alice", "bob", "alice"])
    assert index.of("alice", 0) == index.of("carol", 0) == [2, 1, 0]
