"""Keeping a connection up: one session after the other, with a jittered pause between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, NoReturn

from tidings.bus.rabbitmq.telling import Telling
from tidings.ops.backoff import Backoff

BACKOFF: Final = Backoff(shortest=0.2, first=0.4, longest=5.0, share=0.0)
OPERATOR_SECONDS: Final = 30.0
"""The pause when only a person can mend it."""


class Ended(NamedTuple):
    """Why a session ended. `needs_operator`: the next one will end the same way until somebody acts.

    `address` is where it was connected, or last tried to be.
    """

    reason: str
    needs_operator: bool = False
    address: str | None = None


Session = Callable[[Callable[[str], None]], Awaitable[Ended]]
"""Connects, calls its argument with the address once it serves, and returns when the connection is gone."""


async def supervise(name: str, session: Session, telling: Telling) -> NoReturn:
    """Run sessions until cancelled; `name` tells the connections of a process apart."""
    failures = 0

    def connected(address: str) -> None:
        nonlocal failures
        failures = 0
        telling.connected(name, address)

    while True:
        ended = await session(connected)
        failures += 1
        draw = random.random()  # noqa: S311 - jitter
        seconds = OPERATOR_SECONDS if ended.needs_operator else BACKOFF.pause(failures, draw)
        telling.unavailable(name, ended.reason, ended.address, seconds)
        await asyncio.sleep(seconds)
