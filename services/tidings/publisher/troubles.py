"""What is wrong with a publisher at the moment. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tidings.ops.troubles import Trouble

FILLING: Final = 0.5
"""The part of the spool from which on it is said to fill up, as the alert does."""
WAITED_SECONDS: Final = 2.0
"""Changes that have waited for less may be on their way through the spool."""


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How it stands with a spool: what it holds, how much it may hold, for how long the oldest has waited, in seconds.

    `failure` says why its file cannot be written. `full`: it has refused a batch for which there is still no room.
    """

    changes: int
    bytes: int
    capacity: int
    oldest: float
    failure: str | None
    full: bool


def troubles(*, log_takes: bool, spool: SpoolState | None) -> Iterator[Trouble]:
    """The troubles of ingest and spool; `log_takes`: an append to the log has a chance."""
    if not log_takes and (reason := _why_not(spool)):
        yield Trouble("Ingest is refused (503)", f"the log takes no changes, and {reason}", "TidingsPublisherRefuses")
    if spool is None:
        return
    if spool.failure is not None:
        yield Trouble("The spool cannot be written or read", spool.failure, "TidingsSpoolFails")
    if spool.changes and (spool.full or spool.bytes > FILLING * spool.capacity):
        share = "full" if spool.full else f"{spool.bytes / spool.capacity:.0%} full"
        why = f"changes that wait for the log fill {spool.bytes:,} of its {spool.capacity:,} bytes"
        yield Trouble(f"The spool is {share}", why, "TidingsSpoolFilling")
    if spool.changes and (not log_takes or spool.oldest > WAITED_SECONDS):
        yield Trouble(
            f"{spool.changes:,} changes wait in the spool",
            f"the oldest has waited {spool.oldest:.0f} s: clients do not know of these changes",
            "TidingsChangesWait",
        )


def _why_not(spool: SpoolState | None) -> str | None:
    """Why the spool takes nothing either; None: it does."""
    if spool is None or not spool.capacity:
        return "there is no spool"
    if spool.failure is not None:
        return f"the spool cannot be written: {spool.failure}"
    return "the spool is full" if spool.full else None
