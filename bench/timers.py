"""What connections cost that wait: pings, pongs, deadlines and cursor refreshes of a live gateway."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from functools import cache
from typing import NamedTuple

from bench.crowd import Crowd
from bench.peers.tidings import Whole
from bench.report import Row
from bench.trial import account
from bench.usage import cores, cpu_seconds, on_core

FEW, MANY = 100, 18_900
"""A process that may open 20,000 files takes 19,000 connections."""
ROUNDED = 20_000
SETTLE_SECONDS = 10.0
FEW_SECONDS = 10.0
MANY_SECONDS = 141.0
"""Six times around (a ping every 23.5 s on average): a cursor is refreshed with the first ping after 120 s, so once."""
SHORT_SECONDS = 47.0
"""Twice around, without the refresh of cursors."""


class Idle(NamedTuple):
    """Shares of a core: of the process with few and with many connections, and of one connection."""

    few: float
    many: float
    connection: float


@cache
def idle(seconds: float = MANY_SECONDS) -> Idle:
    """Watch a gateway whose clients do nothing but answer its pings."""
    server_core, load_core = cores()
    with ExitStack() as stack:
        with on_core(server_core):
            server = stack.enter_context(Whole(flags=()).running())
        stack.enter_context(on_core(load_core))
        crowd = stack.enter_context(closing(Crowd(server.port, server.opened)))

        def share(connections: int, seconds: float) -> float:
            crowd.open(server.opening(account(number)) for number in range(len(crowd), connections))
            crowd.idle(SETTLE_SECONDS)
            start, before = time.monotonic(), cpu_seconds(server.pids)
            crowd.idle(seconds)
            return (cpu_seconds(server.pids) - before) / (time.monotonic() - start)

        few = share(FEW, FEW_SECONDS)
        many = share(MANY, seconds)
    return Idle(few, many, (many - few) / (MANY - FEW))


def measure() -> list[Row]:
    """The share of a core that idle connections take."""
    few, many, connection = idle()
    return [
        Row(
            f"timers of {ROUNDED:,} idle connections at default settings (from {MANY:,}, over {MANY_SECONDS:.0f} s)",
            f"{connection * ROUNDED:.2%} of a core",
            "below 2%",
            f"whole process: {many:.2%} with {MANY:,} connections",
        ),
        Row(
            f"the whole process with {FEW} idle connections, most of it the feeds of their shards",
            f"{few:.2%} of a core",
            "",
            "one pinned core, a log in memory",
        ),
    ]
