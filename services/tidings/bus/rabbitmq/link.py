"""Keeping one connection up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, NoReturn, TypeVar

from aio_pika import Connection
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from tidings.bus.rabbitmq.failures import failing_as
from tidings.bus.rabbitmq.session import ANSWER_SECONDS, Session
from tidings.bus.rabbitmq.supervisor import Ended, supervise
from tidings.errors import LogUnavailable

CLOSE_SECONDS: Final = 0.5
"""For saying farewell to the broker."""
CANCEL_SECONDS: Final = 2 * CLOSE_SECONDS

S = TypeVar("S", bound=Session)


class Link(Generic[S]):
    """One of the log's connections. `session` is the present one, if it serves; `failures` counts those that ended."""

    def __init__(self, name: str, address: URL, make: Callable[[Connection], S]) -> None:
        self._name = name
        self._address = address
        self._make = make
        self._task: asyncio.Task[NoReturn] | None = None
        self.session: S | None = None
        self.failures = 0

    def open(self) -> None:
        """Start the supervisor."""
        self._task = asyncio.create_task(supervise(self._name, self._run), name=f"bus {self._name}")

    async def close(self) -> None:
        """End the session and the supervisor."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            # More than once, because the library may swallow one: see ANSWER_SECONDS.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)

    async def _run(self, connected: Callable[[], None]) -> Ended:
        ended = await self._serve(connected)
        self.failures += 1
        return ended

    async def _serve(self, connected: Callable[[], None]) -> Ended:
        # Not aio_pika.connect: when that fails, its Connection is left to a finalizer that starts a task.
        connection = Connection(self._address, client_properties={"connection_name": f"tidings {self._name}"})
        wire = connection.kwargs["transport_factory"] = _Wire()
        try:
            with failing_as(LogUnavailable):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.connect()
                session = self._make(connection)
                await session.check()
                self.session = session
                connected()
                return Ended(await session.watch())
        except LogUnavailable as error:
            return Ended(str(error), needs_operator=isinstance(error.__cause__, ChannelPreconditionFailed))
        finally:
            self.session = None
            hurry = asyncio.get_running_loop().call_later(CLOSE_SECONDS, wire.cut)
            try:
                with suppress(LogUnavailable), failing_as(LogUnavailable):
                    await connection.close()
            finally:
                # Also what the library made and lost: a connection that came up as we stopped waiting for it.
                hurry.cancel()
                wire.cut()


class _Wire(TransportFactory):
    """Remembers the socket: the library closes it only when all it has buffered is sent."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as the library would."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self._writer = await factory.create(url, **kwargs)
        return reader, self._writer

    def cut(self) -> None:
        """Drop the connection with whatever is unsent."""
        if self._writer is not None:
            self._writer.transport.abort()
