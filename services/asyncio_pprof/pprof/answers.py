"""What is said over HTTP: the headers of Go's `net/http/pprof`, parameters, errors."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from asyncio_pprof.files import NOSNIFF

MAX_SECONDS: Final = 240
"""Beyond what continuous profilers ask for, below what those who wait for the answer have patience for."""


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Go's way to refuse: a line of text, and a header that says that it is pprof that refuses."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}

    def response(self) -> Response:
        """The answer."""
        return PlainTextResponse(f"{self}\n", self.status, {"X-Go-Pprof": "1", **NOSNIFF, **self.headers})


Handler = Callable[[Request], Awaitable[Response]]


def answering(handler: Handler) -> Handler:
    """A handler whose refusals are answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refusal.response()

    return answer


def whole(query: QueryParams, name: str) -> int:
    """A parameter that is a number; 0 without it. Raises Refusal (400)."""
    value = query.get(name, "0") or "0"
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise Refusal(400, f'invalid value for "{name}" - must be a whole number')
    return int(value)


def seconds(query: QueryParams) -> int | None:
    """How long a profile is to take; None: not said. Raises Refusal (400)."""
    value = query.get("seconds")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0):
        raise Refusal(400, 'invalid value for "seconds" - must be a positive integer')
    if int(value) > MAX_SECONDS:
        raise Refusal(400, f'invalid value for "seconds" - must be at most {MAX_SECONDS}')
    return int(value)


def binary(message: bytes, name: str) -> Response:
    """An encoded profile, compressed as on disk."""
    return Response(
        gzip.compress(message, 1, mtime=0),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"', **NOSNIFF},
    )


def text(content: str) -> Response:
    """What is to be read."""
    return PlainTextResponse(content, headers=NOSNIFF)
