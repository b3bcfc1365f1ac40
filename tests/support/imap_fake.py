"""An IMAP server as no real one can be made to be: it says what a test has written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

GREETING = (
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE NOTIFY CONDSTORE ENABLE LIST-EXTENDED LIST-STATUS] ready\r\n"
)


class Peer:
    """One connection from the publisher."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        """Send it, as fast as the publisher takes it."""
        self._writer.write(data)
        await self._writer.drain()

    async def command(self, name: bytes, answer: bytes = b"", end: bytes = b"OK done") -> bytes:
        """Take a command of this name and answer it; what it was."""
        tag, text = await self._line()
        assert text.startswith(name), f"{name!r} was expected, and {text!r} came"
        await self.say(b"%b%b %b\r\n" % (answer, tag, end))
        return text

    async def idle(self, said: bytes) -> None:
        """Take an IDLE, say this in it, and take its end."""
        tag, text = await self._line()
        assert text == b"IDLE"
        await self.say(b"+ idling\r\n" + said)
        assert await self._line() == (b"DONE", b"")
        await self.say(tag + b" OK idled\r\n")

    async def log_in(self) -> None:
        """Greet and take whatever login."""
        await self.say(GREETING)
        await self.command(b"AUTHENTICATE PLAIN")
        await self.command(b"CAPABILITY", b"* " + GREETING[6:].partition(b"]")[0] + b"\r\n")

    async def _line(self) -> tuple[bytes, bytes]:
        """A command: its tag and the rest. Raises ConnectionError when the publisher wants no more."""
        tag, _, text = (await self._reader.readline()).rstrip(b"\r\n").partition(b" ")
        if text == b"LOGOUT" or not tag:
            raise ConnectionError("the publisher has gone")
        return tag, text

    async def ended(self) -> None:
        """Wait until the publisher has ended the connection, whatever it sends before."""
        while await self._reader.read(65_536):
            pass


@asynccontextmanager
async def fake_imap(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[int]:
    """The port of a server that follows the script on each connection, and then ends it."""
    failed: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Peer(reader, writer))
        except ConnectionError:
            pass
        except AssertionError as error:
            failed.append(error)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
    if failed:
        raise failed[0]
