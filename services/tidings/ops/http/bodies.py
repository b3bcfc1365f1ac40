"""Request bodies, bounded."""

from __future__ import annotations

from starlette.requests import Request


async def read_body(request: Request, most: int, too_long: Exception) -> bytes:
    """A request's body of at most `most` bytes. Raises `too_long`, before reading on, and ClientDisconnect."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_long
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise too_long
    return bytes(body)
