from __future__ import annotations

import pytest

from tidings.gateway.watching.talkers import HALVED_SECONDS, Talkers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_shares_of_what_was_counted() -> None:
    talkers = Talkers(Clock())
    talkers.count("alice", 3)
    talkers.count("bob", 1)
    talkers.count("nobody", 0)
    assert talkers.shares(10) == [("alice", 0.75), ("bob", 0.25)]
    assert talkers.shares(1) == [("alice", 0.75)]
    assert Talkers(Clock()).shares(10) == []


def test_memory_is_bounded_and_who_talks_most_stays() -> None:
    talkers = Talkers(Clock(), most=8)
    for number in range(10_000):
        talkers.count(f"user{number}", 1)
        talkers.count("alice", 2)
    shares = talkers.shares(100)
    assert len(shares) == 8
    assert shares[0][0] == "alice"
    # Space-saving never says less than there was.
    assert shares[0][1] == pytest.approx(2 / 3, abs=0.01)


def test_what_is_long_ago_counts_less_and_is_forgotten() -> None:
    clock = Clock()
    talkers = Talkers(clock)
    talkers.count("alice", 4)
    clock.now += HALVED_SECONDS
    talkers.count("bob", 2)
    assert talkers.shares(10) == [("alice", 0.5), ("bob", 0.5)]
    clock.now += HALVED_SECONDS * 1000
    talkers.count("carol", 1)
    assert talkers.shares(10) == [("carol", 1.0)]
