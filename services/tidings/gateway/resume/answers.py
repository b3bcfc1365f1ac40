"""What was read from the log lately for a cursor, so that who gives it again is told without another read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tidings.gateway.model.changes import Changed
from tidings.gateway.model.held import Held, size_of
from tidings.ops.budget import Account
from tidings.wire.cursor import Position

MOST: Final = 256
ANSWER_BYTES: Final = 1_024
NAME_BYTES: Final = 128
"""What an answer takes beside its states, and the more for each account and data type that was asked for."""


class Question(NamedTuple):
    """What accounts of one shard missed of some data types (None: all) since a position."""

    accounts: tuple[str, ...]
    types: frozenset[str] | None
    since: Position


class Answer(NamedTuple):
    """What was missed up to `position`: that does not change any more, whatever came later."""

    position: Position
    missed: Changed
    held: Held


class Answers:
    """The last MOST answers, as long as there is room for them; `room` counts their bytes."""

    def __init__(self, room: Account) -> None:
        self._room = room
        self._answers: dict[Question, Answer] = {}
        """The one that was asked for least lately is first."""

    def find(self, question: Question) -> Answer | None:
        """The answer, if it is known."""
        answer = self._answers.pop(question, None)
        if answer is not None:
            self._answers[question] = answer
        return answer

    def keep(self, question: Question, position: Position, missed: Mapping[str, Mapping[str, str]]) -> None:
        """Remember an answer. What it says is not to be changed afterwards."""
        self._answers.pop(question, None)
        held = Held(self._room, _size(question, tuple(missed.values())))
        if self._room.take(0):
            self._answers[question] = Answer(position, missed, held)
            if len(self._answers) > MOST:
                del self._answers[next(iter(self._answers))]


def _size(question: Question, missed: Sequence[Mapping[str, str]]) -> int:
    names = (*question.accounts, *(question.types or ()))
    return ANSWER_BYTES + sum(NAME_BYTES + len(name) for name in names) + sum(map(size_of, missed))
