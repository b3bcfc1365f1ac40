"""A mail storage that changes: each account's changes in order, each until its publisher has acknowledged it."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Final

from tidings.check.behaviour import MIXES
from tidings.check.ledger import Change, Ledger
from tidings.check.sender import Sender, event
from tidings.check.waiting import happens_within
from tidings.errors import CheckFailed

RETRY_SECONDS: Final = (0.1, 1.0)


class Storage:
    """Changes `account` at random moments, every `interval` seconds on average, and tells one publisher."""

    def __init__(
        self, sender: Sender, publisher: str, ledger: Ledger, account: str, interval: float, random: Random
    ) -> None:
        self._publisher = publisher
        self._sender = sender
        self._ledger = ledger
        self._account = account
        self._interval = interval
        self._random = random

    async def run(self, closing: asyncio.Event) -> None:
        """Change until it is `closing`."""
        while not await happens_within(closing, self._random.expovariate(1 / self._interval)):
            change, states = self._ledger.send(self._account, self._random.choice(MIXES), time.monotonic())
            await self._tell(change, event(self._account, states), closing)

    async def _tell(self, change: Change, told: dict[str, object], closing: asyncio.Event) -> None:
        while change.acknowledged is None:
            change.attempts += 1
            try:
                await self._sender.post(self._publisher, told)
            except CheckFailed:
                if await happens_within(closing, self._random.uniform(*RETRY_SECONDS)):
                    return
            else:
                change.acknowledged = time.monotonic()
