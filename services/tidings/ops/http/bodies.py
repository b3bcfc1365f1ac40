"""Request bodies, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

BODY_SECONDS: Final = 10.0
"""How long a request's body may take to arrive: who sends none of it holds the place of a request."""
UNREAD: Final = frozenset({408, 413})
"""The answers to a body that is not read to its end. Their connections are to be closed: the rest is not waited for."""


async def read_body(
    request: Request, most: int, refusal: Callable[[int, str], Exception], seconds: float = BODY_SECONDS
) -> bytes:
    """A request's body of at most `most` bytes, which has to come within these seconds.

    Raises ClientDisconnect, and what `refusal` makes of a status and what is wrong: 413, before reading on, or 408.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most, refusal)
    except TimeoutError:
        raise refusal(408, f"the body did not arrive within {seconds:g} s") from None


async def _read(request: Request, most: int, refusal: Callable[[int, str], Exception]) -> bytes:
    too_long = f"the body is longer than {most} bytes"
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise refusal(413, too_long)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise refusal(413, too_long)
    return bytes(body)
