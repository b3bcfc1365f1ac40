"""A TCP proxy that can go deaf and hang up without a word."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.waiting import eventually

CHUNK = 65536


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward until one of both ends has gone; then so is the other."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


class Proxy:
    """Forwards to the first of some ports of 127.0.0.1 that answers, in turn, from `port`.

    `swallowed` counts the bytes taken while deaf.
    """

    def __init__(self, *upstreams: int) -> None:
        self.port = 0
        self.swallowed = 0
        self._upstreams = deque(upstreams)
        self._deaf = False
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def busy(self) -> bool:
        """Whether anything is connected."""
        return bool(self._writers)

    def go_deaf(self) -> None:
        """Take what clients send, and forward it no more."""
        self._deaf = True

    def hang_up(self) -> None:
        """End every connection at a frame boundary: an orderly TCP close with no AMQP before it."""
        self._deaf = False
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await self._connect()
        if upstream is None:
            writer.close()
            return
        upstream_reader, upstream_writer = upstream
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(self._forward(reader, upstream_writer), self._forward(upstream_reader, writer))
        self._writers -= {writer, upstream_writer}

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in range(len(self._upstreams)):
            self._upstreams.rotate()
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self._upstreams[0])
        return None

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self._deaf:
                    self.swallowed += len(data)
                else:
                    writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied(*upstreams: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(*upstreams)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            proxy.hang_up()
            await eventually(lambda: not proxy.busy)
