"""A mail storage that changes: each account's changes in order, each until a publisher has acknowledged it."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Final

from tidings.check.behaviour import MIXES
from tidings.check.installation import Installation
from tidings.check.ledger import Change, Ledger
from tidings.check.sender import Sender, event
from tidings.errors import CheckFailed

RETRY_SECONDS: Final = (0.1, 1.0)


class Storage:
    """Changes `account` at random moments, every `interval` seconds on average."""

    def __init__(
        self, installation: Installation, sender: Sender, ledger: Ledger, account: str, interval: float, random: Random
    ) -> None:
        self._installation = installation
        self._sender = sender
        self._ledger = ledger
        self._account = account
        self._interval = interval
        self._random = random

    async def run(self, ends: float, gives_up: float) -> None:
        """Change until `ends`, and tell of it until `gives_up`, both on the monotonic clock."""
        while True:
            pause = self._random.expovariate(1 / self._interval)
            if time.monotonic() + pause >= ends:
                return
            await asyncio.sleep(pause)
            change, states = self._ledger.send(self._account, self._random.choice(MIXES), time.monotonic())
            await self._tell(change, event(self._account, states), gives_up)

    async def _tell(self, change: Change, told: dict[str, object], gives_up: float) -> None:
        while time.monotonic() < gives_up:
            change.attempts += 1
            try:
                await self._sender.post(self._random.choice(self._installation.publishers), told)
            except CheckFailed:
                await asyncio.sleep(self._random.uniform(*RETRY_SECONDS))
            else:
                change.acknowledged = time.monotonic()
                return
