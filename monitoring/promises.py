"""Alerts on the two promises: a change is at the client at once, and none is lost.

Each promise has a budget: the part of what clients are told that may break it, over 30 days. An alert looks at how fast
the budget is used up, over a long window for what counts and a short one for whether it goes on: at 14.4 times the pace
that the budget allows a fiftieth of it is gone in an hour, at 6 times a twentieth in six hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from monitoring.alert import THRESHOLD, Alert, Group

LATENCY_BUDGET: Final = 0.01
"""Writes to clients that may come more than a second after the storage's time of the change."""
LOSS_BUDGET: Final = 0.001
"""Of what clients are told: that changes may be missing, in place of the changes."""

_TOLD: Final = "tidings_change_to_write_seconds"
_LOST: Final = 'tidings_resyncs_total{reason=~"gap|mismatch"}'
_PUSHED: Final = "tidings_pushes_total"


def late(window: str) -> str:
    """The part of the writes that came late."""
    in_time = f'sum by (namespace) (rate({_TOLD}_bucket{{le="1.0"}}[{window}]))'
    return f"(1 - {in_time} / sum by (namespace) (rate({_TOLD}_count[{window}])))"


def lost(window: str) -> str:
    """The part of what clients were told that was: look at everything, the log has lost something."""
    resyncs = f"sum by (namespace) (rate({_LOST}[{window}]))"
    return f"({resyncs} / ({resyncs} + sum by (namespace) (rate({_PUSHED}[{window}]))))"


def _alerts(name: str, budget: float, part: Callable[[str], str], summary: str, description: str) -> Iterator[Alert]:
    for suffix, pace, long, short, severity in _PACES:
        bound = f"{pace:g} * {THRESHOLD}"
        condition = f"{part(long)} > {bound} and {part(short)} > {bound}"
        yield Alert(f"{name}{suffix}", condition, "2m", severity, summary, description.format(long), budget)


_PACES: Final[tuple[tuple[str, float, str, str, Literal["critical", "warning"]], ...]] = (
    ("Fast", 14.4, "1h", "5m", "critical"),
    ("", 6, "6h", "30m", "warning"),
)

PROMISES: Final = Group(
    "tidings-promises",
    (
        *_alerts(
            "TidingsLateBurns",
            LATENCY_BUDGET,
            late,
            "Too many changes reach clients late",
            "In the last {}, {{{{ $value | humanizePercentage }}}} of the changes reached clients after more than a "
            "second.",
        ),
        *_alerts(
            "TidingsLostBurns",
            LOSS_BUDGET,
            lost,
            "Too many clients must fetch everything after a loss",
            "In the last {}, {{{{ $value | humanizePercentage }}}} of the messages to clients asked them to fetch "
            "everything, because changes may be lost.",
        ),
    ),
)
