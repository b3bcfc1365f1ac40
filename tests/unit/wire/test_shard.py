from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.wire.shard import DEFAULT_SHARDS, MAX_SHARDS, shard_of


@pytest.mark.parametrize(
    ("account", "shards", "shard"),
    [("alice", 64, 7), ("bob", 64, 0), ("jörg@example.org", 64, 35), ("alice", 1, 0), ("alice", 1024, 71)],
)
def test_the_function_never_changes(account: str, shards: int, shard: int) -> None:
    """Publishers and gateways of different versions share one log."""
    assert shard_of(account, shards) == shard


@given(st.text(), st.integers(1, MAX_SHARDS))
def test_a_shard_is_in_range(account: str, shards: int) -> None:
    assert 0 <= shard_of(account, shards) < shards


def test_accounts_spread_over_all_shards() -> None:
    counts = [0] * DEFAULT_SHARDS
    for number in range(DEFAULT_SHARDS * 100):
        counts[shard_of(f"user{number}@example.org", DEFAULT_SHARDS)] += 1
    assert min(counts) > 50
    assert max(counts) < 200
