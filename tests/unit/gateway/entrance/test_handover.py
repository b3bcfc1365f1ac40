from __future__ import annotations

import asyncio
import re
import socket

import pytest
import uvloop
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.support.waiting import within
from tidings.gateway.entrance.handover import HandOver
from tidings.ops.budget import Budget

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


async def _answer(hand_over: HandOver, received: bytes, meanwhile: bytes) -> bytes:
    """What a client is answered whose first bytes were read before, and the others wait in the socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(meanwhile)
    reader, writer = await asyncio.open_connection(sock=theirs)
    hand_over.take(ours, received)
    async with within(10):
        answer = await reader.read()
    writer.close()
    return answer


_DATE = re.compile(rb"date: [^\r]*\r\n", re.IGNORECASE)


async def _all(received: bytes, meanwhile: bytes) -> set[bytes]:
    hand_over = HandOver(echo, Budget().account("requests"))
    # The answers to one request differ in the time at which they were given.
    answers = {_DATE.sub(b"", await _answer(hand_over, received, meanwhile)) for _ in range(20)}
    await hand_over.stop(5)
    return answers


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("split", [10, len(HEAD), len(HEAD) + 2])
def test_what_comes_during_the_hand_over_comes_after_what_was_read_before(split: int, loop: object) -> None:
    request = HEAD + b"body"
    assert callable(loop)
    with asyncio.Runner(loop_factory=loop) as runner:
        (answer,) = runner.run(_all(request[:split], request[split:]))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in answer
    assert answer.endswith(b"\r\n\r\nbody")
