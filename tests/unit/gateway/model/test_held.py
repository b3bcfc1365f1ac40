from __future__ import annotations

from sys import getsizeof

from tidings.gateway.model.held import SMALL_BYTES, Held, size_of
from tidings.ops.budget import Budget
from tidings.wire.change import MAX_DATA_TYPE_BYTES, MAX_STATE_BYTES


def test_bytes_are_held_until_the_last_reference_is_gone() -> None:
    account = Budget(100).account("resumes")
    held = Held(account, 10)
    held.grow(20)
    both = [held, held]
    del held
    both.pop()
    assert account.held == 30
    both.pop()
    assert account.held == 0


def test_only_what_is_large_is_too_much_and_only_where_there_is_no_room() -> None:
    account = Budget(2 * SMALL_BYTES).account("resumes")
    large, small = Held(account, SMALL_BYTES + 1), Held(account, SMALL_BYTES)
    assert large.is_too_much
    assert not small.is_too_much
    del small
    assert not large.is_too_much


def test_the_size_of_states_is_no_less_than_that_of_their_strings_and_table() -> None:
    for count in (0, 1, 8, 100):
        states = {f"Type{number}".ljust(MAX_DATA_TYPE_BYTES, "x"): "s" * MAX_STATE_BYTES for number in range(count)}
        real = getsizeof(states) + sum(getsizeof(name) + getsizeof(state) for name, state in states.items())
        assert size_of(states) >= real
