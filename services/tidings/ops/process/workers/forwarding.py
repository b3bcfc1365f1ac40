"""`/workers/N/...`: a request for one worker's own admin pages, passed on to it."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx2
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tidings.ops.http.bodies import UNREAD, read_body
from tidings.ops.http.problems import problem_response
from tidings.ops.process.workers.board import Board
from tidings.ops.process.workers.peers import Peers

METHODS: Final = ("GET", "POST")
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
FORWARD_SECONDS: Final = 300.0
"""A profile takes as long as was asked for, so this is long."""
MAX_FORWARDED: Final = 16

_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""RFC 9110 section 7.6.1."""
_OURS: Final = frozenset({b"date"})
"""Headers that our own server adds."""


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Forwarding:
    """An ASGI application that passes requests on and answers back: bounded in number, size and time."""

    def __init__(self, board: Board, peers: Peers) -> None:
        self._board = board
        self._peers = peers
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what the worker that the path names answers."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._open += 1
        try:
            async with asyncio.timeout(FORWARD_SECONDS):
                await self._forward(Request(scope, receive), sending)
        except (_Refused, TimeoutError, httpx2.HTTPError) as error:
            # An answer that has begun ends without its end: the server closes the connection, and clients notice.
            if not begun:
                await _problem(error)(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            self._open -= 1

    async def _forward(self, request: Request, send: Send) -> None:
        number: int = request.path_params["number"]
        seat = self._board.workers.get(number)
        if seat is None:
            raise _Refused(404, f"there is no worker {number}")
        if not seat.pid:
            raise _Refused(503, f"worker {number} is not running")
        if self._open > MAX_FORWARDED:
            raise _Refused(503, f"{MAX_FORWARDED} requests to workers are open already")
        body = await read_body(request, MAX_BODY_BYTES, _Refused)
        client = self._peers.client(number)
        target = client.base_url.copy_with(raw_path=_target(request.scope))
        headers = [(name, value) for name, value in request.headers.raw if name not in _HOP_BY_HOP]
        async with client.stream(request.method, target, headers=headers, content=body) as answer:
            kept = [
                (name, value)
                for name, value in ((name.lower(), value) for name, value in answer.headers.raw)
                if name not in _HOP_BY_HOP and name not in _OURS
            ]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            size = 0
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    raise _Refused(502, "the answer of the worker is too long")
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _target(scope: Scope) -> bytes:
    """The same path below the prefix, and the same query, byte by byte."""
    raw: bytes = scope["raw_path"]
    _, _, path = raw.removeprefix(b"/workers/").partition(b"/")
    query: bytes = scope["query_string"]
    return b"/" + path + (b"?" + query if query else b"")


def _problem(error: Exception) -> Response:
    """An answer in the form of RFC 9457."""
    match error:
        case _Refused():
            status, detail = error.status, str(error)
        case TimeoutError():
            status, detail = 504, f"the worker did not answer within {FORWARD_SECONDS:.0f} s"
        case _:
            status, detail = 502, "the worker did not answer"
    return problem_response(status, detail, {"Connection": "close"} if status in UNREAD else None)
