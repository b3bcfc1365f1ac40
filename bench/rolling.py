"""A rolling restart under a crowd: what is lost, who has to resynchronise, and how evenly the clients come back."""

from __future__ import annotations

import tempfile

from bench.report import Row
from tests.support.broker import Broker
from tests.support.roaming import RESTART, roll

CLIENTS = 10_000
GATEWAYS = 3
CHANGES_PER_SECOND = 250


def measure() -> list[Row]:
    """Replace three gateways one by one below 10,000 connected clients, while their mailboxes change."""
    with Broker() as broker, tempfile.TemporaryDirectory() as state:
        rolled = roll(broker.fresh_url(), state, CLIENTS, CHANGES_PER_SECOND, GATEWAYS)
    untold = sum(count for code, count in rolled.ends.items() if code != RESTART)
    what = f"rolling restart of {GATEWAYS} gateways, {CLIENTS:,} clients"
    return [
        Row(
            f"{what}: clients that missed a change, or had to resynchronise",
            f"{rolled.lost}, {rolled.resyncs}",
            "0, 0",
            f"{rolled.changes:,} acknowledged changes of random accounts meanwhile",
        ),
        Row(
            f"{what}: most reconnects in any second",
            f"{rolled.busiest / rolled.mean:.2f} x ({rolled.busiest:,})",
            "at most 2 x",
            f"their mean while gateways drained: {rolled.mean:,.0f}/s; {rolled.reconnects:,} in "
            f"{' + '.join(f'{seconds:.0f}' for seconds in rolled.drains)} s; {untold:,} without close code {RESTART}",
        ),
        Row(f"{what}: longest that a client was away", f"{rolled.longest_away:.2f} s", "", "up to 1 s of it jitter"),
    ]
