from __future__ import annotations

from tidings.publisher.sources.maildir.agenda import MAX_ARRIVALS, Agenda, Look
from tidings.publisher.sources.maildir.diff import Scope

A, B, C = (Scope(name, b"") for name in "abc")


def agenda(*looks: Look) -> Agenda:
    agenda = Agenda()
    for look in looks:
        agenda.add(look)
    return agenda


def test_a_scope_waits_once_and_its_first_touch_counts() -> None:
    waiting = agenda(Look(A, 2.0), Look(A, 1.0), Look(A, 3.0))
    assert len(waiting) == 1
    assert waiting.take(10) == [Look(A, 1.0)]
    assert waiting.take(10) == []


def test_what_was_touched_comes_before_what_is_only_checked() -> None:
    waiting = agenda(Look(A), Look(A), Look(B), Look(C, 3.0))
    assert waiting.checking
    assert waiting.take(2) == [Look(C, 3.0), Look(A)]
    assert waiting.take(2) == [Look(B)]
    assert not waiting.checking


def test_a_touch_takes_the_place_of_a_check() -> None:
    assert agenda(Look(A), Look(A, 5.0), Look(A)).take(10) == [Look(A, 5.0)]


def test_a_round_is_bounded() -> None:
    waiting = agenda(*(Look(Scope(str(number), None), 0.0) for number in range(5)))
    assert [len(waiting.take(2)) for _ in range(4)] == [2, 2, 1, 0]


def test_arrivals_add_up() -> None:
    first, second = (Look(A, 1.0, frozenset([name])) for name in (b"1", b"2"))
    assert agenda(first, second).take(1) == [Look(A, 1.0, frozenset([b"1", b"2"]))]


def test_arrivals_are_not_enough_once_something_else_happened() -> None:
    arrival = Look(A, 1.0, frozenset([b"1"]))
    for other in (Look(A, 2.0), Look(A)):
        assert agenda(arrival, other).take(1) == [Look(A, 1.0)]
        assert agenda(other, arrival).take(1) == [Look(A, 1.0)]


def test_too_many_arrivals_are_a_look_at_everything() -> None:
    looks = [Look(A, 1.0, frozenset([b"%d" % number])) for number in range(MAX_ARRIVALS + 1)]
    assert agenda(*looks).take(1) == [Look(A, 1.0)]


def test_what_was_written_adds_up_within_a_bound() -> None:
    names = [frozenset([(b"%d" % number, "MessageNew")]) for number in range(MAX_ARRIVALS + 1)]
    looks = [Look(A, 1.0, frozenset(), written) for written in names]
    assert agenda(*looks[:2]).take(1) == [Look(A, 1.0, frozenset(), names[0] | names[1])]
    assert len(agenda(*looks).take(1)[0].written) == MAX_ARRIVALS
