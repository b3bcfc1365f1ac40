from __future__ import annotations

from tidings.gateway.resume.answers import MOST, Answers, Question
from tidings.ops.budget import Budget
from tidings.wire.cursor import Position


def question(number: int = 0, types: frozenset[str] | None = None) -> Question:
    return Question(("alice",), types, Position(number, b"batc"))


REACHED = Position(9, b"here")
MISSED = {"alice": {"Email": "1"}}


def test_who_asks_the_same_is_told_the_same() -> None:
    answers = Answers(Budget().account("resumes"))
    assert answers.find(question()) is None
    answers.keep(question(), REACHED, MISSED)
    found = answers.find(question())
    assert found is not None
    assert (found.position, found.missed) == (REACHED, MISSED)
    for other in (question(1), question(types=frozenset({"Email"})), Question(("bob",), None, Position(0, b"batc"))):
        assert answers.find(other) is None


def test_a_later_answer_takes_the_place_of_an_earlier_one() -> None:
    room = Budget().account("resumes")
    answers = Answers(room)
    answers.keep(question(), REACHED, {})
    before = room.held
    answers.keep(question(), Position(12, b"next"), MISSED)
    found = answers.find(question())
    assert found is not None
    assert found.position.offset == 12
    del found
    answers.keep(question(), REACHED, {})
    assert room.held == before


def test_those_that_nobody_asks_for_are_forgotten_first() -> None:
    room = Budget().account("resumes")
    answers = Answers(room)
    for number in range(MOST):
        answers.keep(question(number, frozenset({"Email"})), REACHED, MISSED)
    full = room.held
    assert answers.find(question(0, frozenset({"Email"})))
    for number in range(MOST, MOST + 10):
        answers.keep(question(number, frozenset({"Email"})), REACHED, MISSED)
    assert room.held == full
    assert answers.find(question(0, frozenset({"Email"})))
    assert answers.find(question(1, frozenset({"Email"}))) is None


def test_without_room_nothing_is_kept() -> None:
    room = Budget(100).account("resumes")
    answers = Answers(room)
    answers.keep(question(), REACHED, MISSED)
    assert answers.find(question()) is None
    assert room.held == 0
