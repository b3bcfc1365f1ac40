"""What may stand between a browser and a gateway: a TCP proxy that lets not every transport pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto

from tests.support.proxy import CHUNK, forward

HEAD_END = b"\r\n\r\n"
CR = 13


class Rule(Enum):
    """What is done to the requests for a path."""

    REFUSE = auto()
    """Answer 404, as a proxy does that passes only what it was told of."""
    HANG = auto()
    """Take the request, and do nothing."""
    HOLD = auto()
    """Pass the answer's head, and hold the body back until it is complete."""
    DRIBBLE = auto()
    """Pass the answer byte by byte, with other line ends in its body and a pause within each."""


class Middlebox:
    """Forwards to the gateway from `port`, one request per connection. `requests` are the paths asked for."""

    def __init__(self, upstream: int, port: int = 0) -> None:
        self.port = port
        self.rules: dict[str, Rule] = {}
        self.requests: list[str] = []
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, str] = {}
        self._deaf: set[str] = set()

    def count(self, path: str) -> int:
        return self.requests.count(path)

    async def listen(self) -> None:
        """Take connections, on the port of the last time if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def vanish(self) -> None:
        """Take no connections any more, and break those there are."""
        if self._server is not None:
            self._server.close()
        self.hang_up()

    def hang_up(self, path: str | None = None) -> None:
        """Break all connections, or those of a path."""
        for writer, of in tuple(self._open.items()):
            if path in (None, of):
                writer.transport.abort()

    def go_deaf(self, path: str) -> None:
        """Let no answer to the requests for a path pass any more, without a word."""
        self._deaf.add(path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(HEAD_END)
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
            self.requests.append(path)
            self._open[writer] = path
            rule = self.rules.get(path)
            if rule is Rule.REFUSE:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif rule is Rule.HANG:
                await reader.read()
            else:
                await self._forward(head, reader, writer, path, rule)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.pop(writer, None)
            writer.close()

    async def _forward(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, rule: Rule | None
    ) -> None:
        answer, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        upstream.write(head)
        asking = asyncio.create_task(forward(reader, upstream))
        try:
            await self._answer(answer, writer, path, rule)
        finally:
            asking.cancel()
            upstream.close()

    async def _answer(
        self, answer: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, rule: Rule | None
    ) -> None:
        if rule is Rule.HOLD:
            writer.write(await answer.readuntil(HEAD_END))
            writer.write(await answer.read())
        elif rule is Rule.DRIBBLE:
            writer.write(await answer.readuntil(HEAD_END))
            while line := await answer.readline():
                for byte in line.replace(b"\n", b"\r\n"):
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(0.02 if byte == CR else 0)
        else:
            while data := await answer.read(CHUNK):
                if path not in self._deaf:
                    writer.write(data)


@asynccontextmanager
async def middlebox(upstream: int, port: int = 0) -> AsyncIterator[Middlebox]:
    box = Middlebox(upstream, port)
    await box.listen()
    try:
        yield box
    finally:
        box.vanish()
