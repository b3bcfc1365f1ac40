"""What processes say when they are asked, and what a command makes of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process at `name` said: a document, or the `fault` that stands in its place, one line."""

    name: str
    document: Document | None = None
    fault: str = ""


class Report(NamedTuple):
    """What a command prints, as text or as JSON, and whether all is well."""

    text: str
    document: Mapping[str, object]
    passed: bool


Reporting = Callable[[Sequence[Answer]], Report]


def answered(answers: Sequence[Answer]) -> Iterator[tuple[str, Document]]:
    """The documents, by who gave them."""
    return ((answer.name, answer.document) for answer in answers if answer.document is not None)


def or_none(text: str, none: str, answers: Sequence[Answer]) -> str:
    """The text; where it is empty `none`, which says so, unless nobody has answered: then nobody knows."""
    return text or (f"{none}\n" if any(answered(answers)) else "")


def silent(answers: Sequence[Answer]) -> list[str]:
    """A line for each process that gave no document."""
    return [f"{answer.name}: {answer.fault}" for answer in answers if answer.document is None]
