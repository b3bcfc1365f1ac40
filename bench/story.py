"""The story that Tidings starts from, in cores: 50,000 polls a second, and the pushes that replace them."""

from __future__ import annotations

from typing import Final

from bench.peers import polling
from bench.rate import Rate
from bench.trial import Result

POLLS: Final = 50_000
"""Polls a second of the story that push replaces."""
POLL_SECONDS: Final = 30.0
"""Between two polls of a client."""


def story(polls: Rate, through: Result | str, idle: float) -> str:
    """What the polls take, and what takes their place: with publishers, broker and log.

    `through` is the gateway with all of these; `idle` what a waiting connection takes of a core.
    """
    told = (
        f"{POLLS:,} polls/s, {polling.UNCHANGED_IN_TEN * 10}% of them answered 304, take "
        f"**{POLLS / polls.per_core:.1f} cores** of this polling server ({polls.per_core:,.0f} polls/s on one; "
        "its states are in memory, a real one asks a database)."
    )
    if isinstance(through, str):
        return told
    changed = POLLS * (10 - polling.UNCHANGED_IN_TEN) / 10
    clients = POLLS * POLL_SECONDS
    distinct = through.distinct
    parts = {
        "the gateways' reads and pushes": changed / distinct.per_core,
        "the pings of all the connections": clients * idle,
        **{f"the {name}": changed * spent / distinct.count for name, spent in distinct.beside.items()},
    }
    told += (
        f" If each client polls every {POLL_SECONDS:.0f} s these are {clients:,.0f} clients, and the polls that find "
        f"something become at most {changed:,.0f} changes/s: **{sum(parts.values()):.1f} cores** "
        f"({', '.join(f'{cores:.1f} for {what}' for what, cores in parts.items())}), and "
        f"{clients * through.memory / 2**30:.1f} GiB for the connections."
    )
    if through.unmatched is not None:
        told += (
            " This counts each change in one gateway. One that reads every shard also reads what is for the clients "
            f"of others: up to {changed / through.unmatched.per_core:.1f} cores more in each, at this rate."
        )
    return told
