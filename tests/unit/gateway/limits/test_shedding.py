from collections.abc import Iterable

from tidings.gateway.limits.shedding import LEAST_BYTES, MOST_AT_ONCE, Shedding, dearest
from tidings.gateway.model.connection import CLOSED, Connection

KIB = 1_024


def connections(count: int) -> list[Connection]:
    return [Connection(number, CLOSED) for number in range(count)]


def test_those_that_hold_most_of_all_kinds_go_first() -> None:
    first, second, third = connections(3)

    def messages() -> Iterable[tuple[Connection, int]]:
        return [(first, 5 * KIB), (second, 4 * KIB)]

    def replies() -> Iterable[tuple[Connection, int]]:
        return [(second, 4 * KIB), (third, 6 * KIB)]

    assert dearest([messages, replies], 10 * KIB) == [(second, 8 * KIB), (third, 6 * KIB)]


def test_who_holds_next_to_nothing_stays() -> None:
    (only,) = connections(1)
    assert not dearest([lambda: [(only, LEAST_BYTES - 1)]], 10 * KIB)


def test_so_many_at_once_and_no_more() -> None:
    all_of_them = connections(MOST_AT_ONCE + 1)
    found = dearest([lambda: [(one, KIB) for one in all_of_them]], 2**40)
    assert len(found) == MOST_AT_ONCE


def test_what_is_given_up_is_closed_and_counted() -> None:
    one, other = connections(2)
    closed: list[Connection] = []
    shedding = Shedding([lambda: [(one, 8 * KIB), (other, 2 * KIB)]], closed.append)
    assert shedding.give_up(5 * KIB) == 8 * KIB
    assert closed == [one]
