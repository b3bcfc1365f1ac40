"""One change, there and back: through each publisher, to a client of each gateway."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from tidings.check.installation import Installation
from tidings.check.ledger import TYPES
from tidings.check.listening import WebSocketConnection
from tidings.check.sender import Sender, event
from tidings.errors import CheckFailed
from tidings.ops.http.reason import is_nobody_there

RETRY_SECONDS: Final = 0.5
T = TypeVar("T")


async def tell_each(installation: Installation, seconds: float) -> AsyncIterator[str]:
    """Tell each publisher of a change that a client of each gateway has to be told of. Yields a line for each.

    Raises CheckFailed for what does not answer, refuses, or does not tell within `seconds`.
    """
    account = installation.accounts[0]
    sender = installation.sender()
    try:
        for gateway in installation.gateways:
            subscription = installation.subscription(gateway, (account,), TYPES, None)
            client = await _reached(partial(WebSocketConnection.open, subscription), seconds)
            try:
                await _subscribed(client, gateway, seconds)
                for publisher in installation.publishers:
                    state = secrets.token_hex(8)
                    told = event(account, dict.fromkeys(TYPES, state))
                    began = await _reached(partial(_posted, sender, publisher, told), seconds)
                    confirmed = time.monotonic() - began
                    await _told(client, gateway, account, state, seconds)
                    learnt = time.monotonic() - began
                    times = f"confirmed after {confirmed * 1000:.1f} ms, told after {learnt * 1000:.1f} ms"
                    yield f"{publisher} -> {gateway}: {times}"
            finally:
                await client.close(abruptly=False)
    finally:
        await sender.close()


async def _posted(sender: Sender, publisher: str, told: Mapping[str, object]) -> float:
    """Tell a publisher; when that began."""
    began = time.monotonic()
    await sender.post(publisher, told)
    return began


async def _reached(attempt: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Try again for so long where nothing listens: what is checked may have been started a moment ago."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await attempt()
        except CheckFailed as error:
            if not is_nobody_there(error) or time.monotonic() + RETRY_SECONDS > deadline:
                raise
        await asyncio.sleep(RETRY_SECONDS)


async def _subscribed(client: WebSocketConnection, gateway: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await client.next()
    except TimeoutError:
        raise CheckFailed(
            f"the gateway at {gateway} did not answer a subscription within {seconds:g} s: "
            "is it connected to the change log?"
        ) from None


async def _told(client: WebSocketConnection, gateway: str, account: str, state: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while state not in (await client.next()).changed.get(account, {}).values():
                pass
    except TimeoutError:
        raise CheckFailed(
            f"the gateway at {gateway} did not push within {seconds:g} s what the publisher has confirmed: "
            "are --bus and --shards the same in both?"
        ) from None
