"""When a process that ended is started again, and how its end is told. Pure."""

from __future__ import annotations

from signal import Signals
from typing import Final

from tidings.ops.backoff import Backoff

BACKOFF: Final = Backoff(shortest=0.05, first=0.1, longest=10.0)
"""`longest` is the longest that new connections wait in the listening socket of a worker that keeps dying."""
STABLE_SECONDS: Final = 60.0
"""A process that ran for so long did not die of what its predecessors died of."""
FAULT_EXIT: Final = 2
"""The exit code for what the operator has to change."""


def deaths_in_a_row(before: int, ran: float) -> int:
    """How many there are with the one of a process that ran for `ran` seconds; `before`: how many there were."""
    return 1 if ran >= STABLE_SECONDS else before + 1


def is_fault(exit_code: int, *, ever_started: bool) -> bool:
    """Whether starting it again would end the same way until somebody changes a setting.

    One that has started before had settings that work: what changed since may change back.
    """
    return exit_code == FAULT_EXIT and not ever_started


def description(exit_code: int) -> dict[str, str | int]:
    """An end for the log; the exit code is negative for a signal, as in `os.waitstatus_to_exitcode`."""
    if exit_code >= 0:
        return {"exit_code": exit_code}
    try:
        return {"signal": Signals(-exit_code).name}
    except ValueError:
        return {"signal": -exit_code}
