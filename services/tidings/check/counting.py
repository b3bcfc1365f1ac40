"""Many changes for some time, clients of every kind, and a count of what became of each."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Final

from tidings.bus.log import ChangeLog
from tidings.check.behaviour import WANTED
from tidings.check.clients import Wanderer
from tidings.check.installation import Installation
from tidings.check.ledger import Ledger
from tidings.check.readback import read_back
from tidings.check.report import table
from tidings.check.storage import Storage
from tidings.check.verdict import Loss, losses
from tidings.errors import CheckFailed

POLL_SECONDS: Final = 0.1
PROGRESS_SECONDS: Final = 10.0
COMBINED: Final = 3
"""Accounts of each third client, where tokens can be made."""


@dataclass(frozen=True)
class Load:
    """How many changes a second, to how many clients; `timeout` is for what has to arrive in the end, in seconds."""

    clients: int
    rate: float
    timeout: float
    seed: int


@dataclass(frozen=True)
class Report:
    """What became of everything."""

    ledger: Ledger
    lost: list[Loss]
    compared: bool

    @property
    def passed(self) -> bool:
        """Whether something was acknowledged and nothing lost."""
        return not self.lost and any(change.acknowledged for each in self.ledger.changes.values() for change in each)

    def __str__(self) -> str:
        return table(self.ledger, self.lost, self.compared)


async def count(
    installation: Installation,
    load: Load,
    during: Callable[[], Awaitable[None]],
    log: ChangeLog | None,
    say: Callable[[str], None],
) -> Report:
    """Tell changes and let clients wander while `during` lasts, then wait until everybody knows everything, and judge.

    `log` is read back, where it is given. Raises CheckFailed when no gateway takes the clients, or the log no reader.
    """
    began = time.time()
    ledger = Ledger(secrets.token_hex(4))
    calm = asyncio.Event()
    wanderers = _wanderers(installation, ledger, load, calm)
    async with _wandering(wanderers):
        await _all_subscribed(wanderers, load.timeout)
        async with _saying_progress(ledger, say):
            await _tell(installation, ledger, load, during)
            calm.set()
            deadline = time.monotonic() + load.timeout
            await _until(lambda: not ledger.unlearnt(), deadline)
        order = None if log is None else await read_back(log, ledger, began)
        await _until(lambda: not losses(ledger, order), deadline)
    return Report(ledger, losses(ledger, order), log is not None)


def _wanderers(installation: Installation, ledger: Ledger, load: Load, calm: asyncio.Event) -> list[Wanderer]:
    wanderers = []
    for number in range(load.clients):
        random = Random(f"{load.seed} client {number}")  # noqa: S311 - to be repeated
        combined = COMBINED if installation.can_combine and number % COMBINED == 0 else 1
        followed = tuple(
            dict.fromkeys(
                installation.accounts[(number + step) % len(installation.accounts)] for step in range(combined)
            )
        )
        wanderers.append(Wanderer(installation, ledger, followed, random.choice(WANTED), random, calm))
    return wanderers


@asynccontextmanager
async def _wandering(wanderers: list[Wanderer]) -> AsyncIterator[None]:
    # No TaskGroup: it would wrap up what went wrong inside, which is one line for people.
    tasks = [asyncio.create_task(wanderer.run()) for wanderer in wanderers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def _all_subscribed(wanderers: list[Wanderer], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            for wanderer in wanderers:
                await wanderer.subscribed.wait()
    except TimeoutError:
        waiting = sum(not wanderer.subscribed.is_set() for wanderer in wanderers)
        raise CheckFailed(f"{waiting} of {len(wanderers)} clients got no subscription within {seconds:g} s") from None


async def _tell(installation: Installation, ledger: Ledger, load: Load, during: Callable[[], Awaitable[None]]) -> None:
    interval = len(installation.accounts) / load.rate
    sender = installation.sender()
    closing = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            # Each account stays with one publisher: several have no order among each other.
            for account, publisher in zip(installation.accounts, cycle(installation.publishers), strict=False):
                random = Random(f"{load.seed} account {account}")  # noqa: S311 - to be repeated
                group.create_task(Storage(sender, publisher, ledger, account, interval, random).run(closing))
            await during()
            closing.set()
    finally:
        await sender.close()


@asynccontextmanager
async def _saying_progress(ledger: Ledger, say: Callable[[str], None]) -> AsyncIterator[None]:
    async def progress() -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            acknowledged = sum(change.acknowledged is not None for each in ledger.changes.values() for change in each)
            say(f"{time.monotonic() - began:.0f} s: {acknowledged:,} acknowledged, {ledger.unlearnt():,} to be learnt")

    saying = asyncio.create_task(progress())
    try:
        yield
    finally:
        saying.cancel()


async def _until(condition: Callable[[], bool], deadline: float) -> None:
    """Return when it holds, or is too late."""
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
