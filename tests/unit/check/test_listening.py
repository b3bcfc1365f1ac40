"""What answers may not be a gateway. Those that are have `tidings check` run against them in tests/integration."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tidings.check.listening import (
    Connection,
    EventStreamConnection,
    PollConnection,
    Subscription,
    WebSocketConnection,
)
from tidings.errors import CheckFailed

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<html"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Subscription]:
    """Somebody who gives each request this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Subscription(f"http://127.0.0.1:{port}", ("a",), ("Email",), None, None, ssl.create_default_context())


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        (WebSocketConnection, PAGE, "answers 200: <html"),
        (WebSocketConnection, BUSY, "answers 503: busy"),
        (WebSocketConnection, b"nonsense\r\n\r\n", "opens no WebSocket"),
        (EventStreamConnection, PAGE, "ended an event stream"),
        (EventStreamConnection, BUSY, "answers 503: busy"),
        (EventStreamConnection, b"", "ended a request"),
        (PollConnection, PAGE, "says b'<html'"),
        (PollConnection, BUSY, "answers 503: busy"),
        (PollConnection, b"", "ended a request"),
    ],
)
async def test_what_is_no_gateway_is_said_to_be_none(kind: type[Connection], answer: bytes, said: str) -> None:
    async with answering(answer) as asked:
        with pytest.raises(CheckFailed) as failed:
            await _first(kind, asked)
    assert said in str(failed.value)
    assert asked.url in str(failed.value)


async def _first(kind: type[Connection], asked: Subscription) -> None:
    connection = await kind.open(asked)
    try:
        await connection.next()
    finally:
        await connection.close(abruptly=False)
