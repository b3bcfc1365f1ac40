"""Reading a log one entry after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NoReturn

from tidings.bus.log import Entry, Take


async def one_by_one(follow: Callable[[Take], Awaitable[NoReturn]]) -> AsyncGenerator[Entry, None]:
    """Yield what `follow` hands over. It is asked for more once what it gave before has been taken up.

    Raises what it raises: ReadLost, or a fault of ours.
    """
    coming: asyncio.Queue[Sequence[Entry] | Exception] = asyncio.Queue(1)

    async def fill() -> None:
        try:
            await follow(coming.put)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            await coming.put(error)

    filling = asyncio.create_task(fill(), name="log reader")
    try:
        while not isinstance(came := await coming.get(), Exception):
            for entry in came:
                yield entry
        raise came
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
