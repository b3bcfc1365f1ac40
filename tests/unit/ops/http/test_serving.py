from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.support.waiting import eventually, patient
from tidings.ops.budget import Budget
from tidings.ops.http.protocol import MAX_FIELDS, MAX_HEAD_BYTES
from tidings.ops.http.serving import TICK_SECONDS, QuietServer, UvicornService, quiet_config

SECONDS = 30.0
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = 4096
ENDLESS = b"a" * 600_000
"""More than asyncio reads at once, twice: where a line begins in what is read, the rest of that is not counted."""


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    try:
        body = await request.body()
    except ClientDisconnect:
        return
    await PlainTextResponse(f"{request.url.path} {len(body)}")(scope, receive, send)


@pytest.fixture
async def listener() -> AsyncIterator[UvicornService]:
    service = UvicornService("test", echo, "127.0.0.1", 0, Budget().account("requests"))
    await service.start()
    yield service
    await service.stop()


async def ask(listener: UvicornService, *pieces: bytes) -> bytes:
    """What is answered until the connection ends."""

    def talk() -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", listener.port), patient(SECONDS)) as sock:
            # Who is refused before having said all may be reset. What was answered is there nevertheless.
            with suppress(ConnectionError):
                for piece in pieces:
                    sock.sendall(piece)
            with suppress(ConnectionError):
                while received := sock.recv(65_536):
                    answer += received
        return answer

    return await asyncio.to_thread(talk)


def in_pieces(data: bytes) -> list[bytes]:
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET + b"a: b\r\n" * 2 * MAX_FIELDS, id="fields"),
        pytest.param(GET + (b"a: " + b"b" * 1000 + b"\r\n") * 20, id="fields-that-are-long"),
        pytest.param(GET + b"a: " + ENDLESS, id="a-field-without-end"),
        pytest.param(GET + ENDLESS, id="a-name-without-end"),
        pytest.param(b"GET /" + ENDLESS, id="a-target-without-end"),
        pytest.param(POST + b"0\r\n" + b"a: b\r\n" * 2 * MAX_FIELDS, id="trailers"),
        pytest.param(POST + b"1;" + ENDLESS, id="a-chunk-extension-without-end"),
    ],
)
async def test_a_head_that_is_too_large_is_refused_before_it_ends(listener: UvicornService, sent: bytes) -> None:
    answer = await ask(listener, *in_pieces(sent))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert json.loads(body)["status"] == 431


async def test_what_is_within_the_bounds_is_served(listener: UvicornService) -> None:
    fields = b"a: b\r\n" * (MAX_FIELDS - 3) + b"c: " + b"d" * 3 * PIECE + b"\r\n"
    once = GET + fields + b"\r\n"
    last = once.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    answer = await ask(listener, *in_pieces(once * 3 + last))
    assert answer.count(b"HTTP/1.1 200 OK") == 4


async def test_the_size_of_a_body_is_not_that_of_the_head(listener: UvicornService) -> None:
    size = 8 * MAX_HEAD_BYTES
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"a" * size)
    answer = await ask(listener, *in_pieces(POST + chunks))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"/ %d" % size)


async def test_what_is_not_http_is_told_so(listener: UvicornService) -> None:
    answer = await ask(listener, b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"the request is not HTTP/1.1" in answer


async def test_an_idle_listener_wakes_once_a_second_and_ends_at_once() -> None:
    class Counted(QuietServer):
        ticks = 0

        async def on_tick(self, counter: int) -> bool:
            self.ticks += 1
            return await super().on_tick(counter)

    def end(server: Counted) -> int:
        """The ticks until then: of those that come before the thread begins there may be many."""
        ticks = server.ticks
        server.end()
        return ticks

    server = Counted(quiet_config(echo, 1, Budget().account("requests")))
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        serving = asyncio.create_task(server.serve([sock]))
        await eventually(lambda: server.ticks == 2)
        date = dict(server.server_state.default_headers)[b"date"]
        await eventually(lambda: dict(server.server_state.default_headers)[b"date"] != date)
        assert server.ticks <= 1 + (time.monotonic() - began) / TICK_SECONDS
        before = await asyncio.to_thread(end, server)
        await serving
    assert server.ticks <= before + 1
