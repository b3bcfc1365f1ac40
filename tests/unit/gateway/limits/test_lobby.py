"""Who is connected and not parked, and who has to go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.connections import connection_of
from tests.support.growth import cheapest
from tidings.gateway.limits.lobby import ADDRESS_SHARE, LEAST_PLACES, MAX_BYTES, PLACE_BYTES, Lobby, lobby_bytes
from tidings.gateway.model.connection import Connection
from tidings.ops.budget import Account, Budget

ADDRESSES = 8_000


def lobby_for(places: int) -> tuple[Lobby, Account]:
    account = Budget().account("heads", most=places * PLACE_BYTES)
    return Lobby(account), account


def entered(lobby: Lobby, address: str, count: int = 1, said: int = 0, *, bounded: bool = True) -> list[Connection]:
    found = [connection_of() for _ in range(count)]
    for connection in found:
        assert lobby.enter(connection, address, bounded=bounded)
        assert lobby.keep(connection, said)
    return found


def test_places_and_what_is_said_are_counted_until_one_leaves() -> None:
    lobby, account = lobby_for(4)
    first, second = entered(lobby, "a", 2)
    assert lobby.keep(first, 100)
    assert lobby.keep(first, 50)
    assert account.held == 2 * PLACE_BYTES + 150
    assert (len(lobby), lobby.count("a"), lobby.oldest("a")) == (2, 2, first)
    assert lobby.leave(first) == "a"
    assert account.held == PLACE_BYTES
    assert (first in lobby, second in lobby, lobby.oldest("a")) == (False, True, second)
    assert lobby.leave(second) == "a"
    assert (account.held, lobby.count("a"), lobby.oldest("a"), len(lobby)) == (0, 0, None, 0)
    assert lobby.leave(second) == ""


def test_without_room_nobody_enters_and_nothing_is_kept() -> None:
    lobby, account = lobby_for(1)
    (one,) = entered(lobby, "a")
    assert not lobby.enter(connection_of(), "b")
    assert not lobby.keep(one, 1)
    assert (account.held, account.limit, lobby.limit) == (PLACE_BYTES, PLACE_BYTES, PLACE_BYTES)
    lobby.leave(one)
    assert lobby.enter(connection_of(), "b")


def test_who_takes_its_leave_has_a_place_and_says_nothing() -> None:
    lobby, account = lobby_for(1)
    (head,) = entered(lobby, "a")
    # Whoever was parked until now has a socket in any case.
    parked, nameless = connection_of(), connection_of()
    lobby.stay(parked, "b")
    lobby.stay(nameless, "")
    assert (account.held, lobby.count("b")) == (3 * PLACE_BYTES, 1)
    lobby.leave(parked)
    lobby.leave(nameless)
    lobby.leave(head)
    (head,) = entered(lobby, "a")
    lobby.stay(head, "elsewhere")
    assert (account.held, lobby.count("a"), lobby.count("elsewhere")) == (PLACE_BYTES, 1, 0)


def test_what_one_said_is_given_back_when_it_takes_its_leave() -> None:
    lobby, account = lobby_for(4)
    (head,) = entered(lobby, "a", said=500)
    lobby.stay(head, "")
    assert account.held == PLACE_BYTES
    lobby.leave(head)
    assert account.held == 0


def test_the_oldest_of_whoever_holds_most_goes_first() -> None:
    lobby, _ = lobby_for(100)
    honest = entered(lobby, "honest")
    many = entered(lobby, "many", 5)
    entered(lobby, "few", 2)
    assert lobby.dearest(1) == many[:1]
    assert lobby.dearest(3 * PLACE_BYTES) == many[:3]
    # From there on both hold the same, and the address that came first is first.
    assert lobby.dearest(4 * PLACE_BYTES) == many[:4]
    assert set(lobby.dearest(2**40)) == set(lobby._address_of)
    assert honest[0] not in lobby.dearest(5 * PLACE_BYTES)
    assert lobby.dearest(0) == []


def test_bytes_weigh_as_much_as_connections() -> None:
    lobby, _ = lobby_for(100)
    entered(lobby, "silent", 10)
    loud = entered(lobby, "loud", 2, said=8 * PLACE_BYTES)
    assert lobby.dearest(1) == loud[:1]


def test_an_address_has_a_share_beyond_which_its_oldest_are_surplus() -> None:
    lobby, _ = lobby_for(40)
    found = entered(lobby, "a", 40 // ADDRESS_SHARE)
    assert lobby.surplus(found[-1]) == []
    assert lobby.keep(found[-1], 1)
    assert lobby.surplus(found[-1]) == found[:1]
    assert lobby.keep(found[-1], PLACE_BYTES)
    assert lobby.surplus(found[-1]) == found[:2]


def test_a_proxy_has_no_share() -> None:
    lobby, _ = lobby_for(40)
    found = entered(lobby, "proxy", 30, bounded=False)
    assert lobby.surplus(found[-1]) == []
    assert lobby.dearest(1) == found[:1]


@pytest.mark.parametrize(("parked", "places"), [(1, LEAST_PLACES), (1_000, 1_000), (10**6, MAX_BYTES // PLACE_BYTES)])
def test_there_are_as_many_places_as_for_those_who_are_parked_within_bounds(parked: int, places: int) -> None:
    assert lobby_bytes(parked) == places * PLACE_BYTES


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "keep", "stay", "leave", "dearest"]), st.integers(0, 4), st.integers(0, 5_000)
        ),
        max_size=60,
    )
)
def test_what_is_counted_is_what_is_held(steps: list[tuple[str, int, int]]) -> None:
    lobby, account = lobby_for(5)
    said: dict[Connection, int] = {}
    for step, number, size in steps:
        known = list(said)
        one = known[number % len(known)] if known else None
        if step == "enter" or one is None:
            new = connection_of()
            if lobby.enter(new, f"address {number}"):
                said[new] = 0
        elif step == "keep":
            said[one] += size if lobby.keep(one, size) else 0
        elif step == "stay":
            lobby.stay(one, "")
            said[one] = 0
        elif step == "leave":
            lobby.leave(one)
            del said[one]
        else:
            found = lobby.dearest(size)
            assert len(found) == len(set(found))
            assert set(found) <= set(said)
            assert set(found) == set(said) or sum(PLACE_BYTES + said[each] for each in found) >= size
        assert account.held == sum(PLACE_BYTES + each for each in said.values()) <= account.limit
        assert dict(lobby.holdings()) == {one: PLACE_BYTES + each for one, each in said.items()}
        assert len(lobby) == len(said)


def test_twice_the_addresses_cost_about_twice_as_much() -> None:
    """Measured in looks at everybody who is here, which wait for the same memory.

    Of so many addresses not all are in the processor's caches, and fewer the more others use these. That makes
    twice as many dearer than twice, and a look at them as well.
    """

    def crowd(addresses: int) -> Lobby:
        lobby, _ = lobby_for(addresses)
        for number in range(addresses):
            entered(lobby, f"address {number}")
        return lobby

    def work(lobby: Lobby) -> list[Callable[[], object]]:
        return [partial(lobby.dearest, len(lobby) * PLACE_BYTES // 16), lambda: deque(lobby.holdings(), maxlen=0)]

    def growth(once: float, looked: float, twice: float, looked_twice: float) -> float:
        return twice / looked_twice / (once / looked)

    works = [*work(crowd(ADDRESSES)), *work(crowd(2 * ADDRESSES))]
    # 1 is linear, and 2 quadratic.
    assert growth(*cheapest(works, lambda *costs: growth(*costs) < 1.2)) < 1.5
