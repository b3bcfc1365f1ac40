"""What is wrong with a process at the moment, for the top of its dashboard. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, why, and the alert whose runbook (docs/runbooks) says what to do."""

    what: str
    why: str
    runbook: str


def of_log(down: Mapping[str, str], alarm: str | None) -> Iterator[Trouble]:
    """The trouble with the change log: why which connections are down, and why it takes no changes."""
    if down:
        what = f"RabbitMQ is away: no connection to {' and '.join(down)}"
        yield Trouble(what, "; ".join(dict.fromkeys(down.values())), "TidingsBrokerUnreachable")
    if alarm is not None:
        yield Trouble("RabbitMQ takes no changes", alarm, "TidingsBrokerAlarm")


def merged(troubles: Mapping[str, Iterable[Trouble]]) -> list[Trouble]:
    """The troubles of several processes, by their names, as one list: what all have is told once."""
    whose: dict[Trouble, list[str]] = {}
    for name, told in troubles.items():
        for trouble in told:
            whose.setdefault(trouble, []).append(name)
    return [
        trouble
        if len(names) == len(troubles)
        else Trouble(f"{', '.join(names)}: {trouble.what}", trouble.why, trouble.runbook)
        for trouble, names in whose.items()
    ]
