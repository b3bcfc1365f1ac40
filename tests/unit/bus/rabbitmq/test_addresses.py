from __future__ import annotations

from itertools import pairwise

from tidings.bus.rabbitmq.addresses import LONGEST_STAY_SECONDS, REMEMBERED_SECONDS, Address, Addresses, Moves

A, B, C = (Address(f"10.0.0.{number}", 5672) for number in (1, 2, 3))


def order(addresses: Addresses, now: float, *found: Address) -> list[Address]:
    return addresses.order(found, now, lambda: 0.0)


def test_an_address_is_written_as_it_is_in_a_url() -> None:
    assert str(A) == "10.0.0.1:5672"
    assert str(Address("::1", 5672)) == "[::1]:5672"


def test_who_was_not_tried_lately_comes_first_and_then_who_was_left_longest_ago() -> None:
    addresses = Addresses()
    addresses.leave(A, 1.0)
    addresses.leave(B, 2.0)
    assert order(addresses, 3.0, A, B, C) == [C, A, B]
    addresses.leave(C, 3.0)
    addresses.leave(A, 4.0)
    assert order(addresses, 5.0, A, B, C) == [B, C, A]


def test_nothing_is_held_against_an_address_for_ever() -> None:
    addresses = Addresses()
    addresses.leave(A, 1.0)
    draws = iter([0.9, 0.1, 0.9, 0.1])
    assert addresses.order([A, B], 2.0, lambda: 0.5)[0] == B
    both = {addresses.order([A, B], 1.0 + REMEMBERED_SECONDS, lambda: next(draws))[0] for _ in range(2)}
    assert both <= {A, B}


def test_clients_spread() -> None:
    draws = iter([0.9, 0.1])
    first = Addresses().order([A, B], 0.0, lambda: next(draws))
    draws = iter([0.1, 0.9])
    assert Addresses().order([A, B], 0.0, lambda: next(draws)) == first[::-1]


def test_an_address_that_the_name_no_longer_stands_for_is_forgotten() -> None:
    addresses = Addresses()
    addresses.leave(A, 1.0)
    assert order(addresses, 2.0, B) == [B]
    addresses.leave(B, 3.0)
    assert order(addresses, 4.0, A, B) == [A, B]


def test_the_first_move_is_made_at_once_and_who_keeps_moving_stays_longer() -> None:
    moves = Moves()
    made = [second for second in range(3_000) if moves.wanted(second, cuts=True)]
    stays = [later - earlier for earlier, later in pairwise(made)]
    assert made[0] == 0
    assert stays[:6] == [5, 10, 20, 40, 80, 160]
    assert set(stays[6:]) == {LONGEST_STAY_SECONDS}


def test_who_has_stayed_for_long_may_go_at_once() -> None:
    moves = Moves()
    for second in range(100):
        moves.wanted(second, cuts=True)
    assert moves.wanted(100 + REMEMBERED_SECONDS, cuts=True)
    assert not moves.wanted(104 + REMEMBERED_SECONDS, cuts=True)
    assert moves.wanted(105 + REMEMBERED_SECONDS, cuts=True)


def test_a_node_that_serves_nothing_is_left_again_and_again() -> None:
    moves = Moves()
    assert [second for second in range(21) if moves.wanted(second, cuts=False)] == [0, 5, 10, 15, 20]
    assert moves.wanted(25, cuts=True)
    assert not moves.wanted(30, cuts=True)
    assert moves.wanted(31, cuts=False)
