"""What the lines of a journal tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tidings.errors import EventError
from tidings.publisher.sources.journal.format import MAX_LINE_BYTES
from tidings.wire import cloudevents
from tidings.wire.change import Change

_HEADERS: Final = (("content-type", cloudevents.STRUCTURED),)


@dataclass(slots=True)
class Told:
    """What some lines told, in order.

    `refused`: why events were refused, which whoever wrote them has to mend. `unreadable`: lines that are no event at
    all, since a disk was full, or a program or the power was cut off: nobody knows which changes they were.
    """

    changes: list[Change] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unreadable: int = 0


def told_by(lines: Iterable[bytes], ingested: float) -> Told:
    """What lines tell; `ingested` is the present time, in Unix seconds."""
    told = Told()
    for line in lines:
        text = line.strip(b"\n\r \t")
        if not text:
            continue
        if len(text) > MAX_LINE_BYTES:
            told.unreadable += 1
            continue
        try:
            told.changes += cloudevents.parse(_HEADERS, text, ingested)
        except EventError as error:
            if error.problems:
                told.refused.append("; ".join(f"{problem.field} {problem.detail}" for problem in error.problems))
            else:
                told.unreadable += 1
    return told
