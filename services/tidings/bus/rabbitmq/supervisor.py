"""Keeping a connection up: one session after the other, a jittered pause and one log line between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, NoReturn

import structlog

SHORTEST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 5.0
OPERATOR_SECONDS: Final = 30.0
"""The pause when only a person can mend it."""

_DOUBLINGS: Final = 10

log = structlog.get_logger()


class Ended(NamedTuple):
    """Why a session ended. `needs_operator`: the next one will end the same way until somebody acts."""

    reason: str
    needs_operator: bool = False


Session = Callable[[Callable[[], None]], Awaitable[Ended]]
"""Connects, calls its argument once it serves, and returns when the connection is gone."""


def pause(failures: int, draw: float) -> float:
    """Seconds to wait after that many failures in a row; `draw` in 0..1 spreads the clients (full jitter)."""
    longest = min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0 ** min(failures, _DOUBLINGS))
    return SHORTEST_SECONDS + draw * (longest - SHORTEST_SECONDS)


async def supervise(name: str, session: Session) -> NoReturn:
    """Run sessions until cancelled; `name` tells the connections of a process apart in its log."""
    failures = 0

    def connected() -> None:
        nonlocal failures
        failures = 0
        log.info("bus connected", connection=name)

    while True:
        ended = await session(connected)
        failures += 1
        seconds = OPERATOR_SECONDS if ended.needs_operator else pause(failures, random.random())  # noqa: S311 - jitter
        log.warning("bus unavailable", connection=name, reason=ended.reason, next_attempt_seconds=round(seconds, 1))
        await asyncio.sleep(seconds)
