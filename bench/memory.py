"""What an idle connection costs: resident memory of a real process, as the slope between two crowds."""

from __future__ import annotations

from contextlib import closing

from bench.crowd import Crowd
from bench.peers.tidings import Whole
from bench.report import Row
from bench.trial import FEW, MANY, account
from bench.usage import resident

SETTLE_SECONDS = 5.0


def measure() -> list[Row]:
    """Bytes per connection: authenticated, subscribed, idle."""
    few, many = FEW, MANY
    with Whole().running() as server, closing(Crowd(server.port, server.opened)) as crowd:
        sizes = []
        for wanted in (few, many):
            crowd.open(server.opening(account(number)) for number in range(len(crowd), wanted))
            crowd.idle(SETTLE_SECONDS)
            sizes.append(resident(server.pids))
    at_few, at_many = sizes
    return [
        Row(
            f"resident memory per idle connection (JWT, subscribed, {few:,} to {many:,} accounts)",
            f"{(at_many - at_few) / (many - few):.0f} B",
            "at most 512 B",
            f"whole process: {at_few / 2**20:.1f} MiB at {few:,}, {at_many / 2**20:.1f} MiB at {many:,}; "
            "the kernel's memory is not counted",
        )
    ]
