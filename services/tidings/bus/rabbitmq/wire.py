"""The way to a broker: one of the addresses that its names stand for."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from tidings.bus.rabbitmq.addresses import Address, Addresses
from tidings.bus.rabbitmq.frames import Frames
from tidings.errors import LogUnavailable

CONNECT_SECONDS: Final = 2.0
"""For one of several addresses; a single one has as long as the whole connection may take."""

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses that a host name stands for now. Raises OSError."""


async def resolve(host: str, port: int) -> list[Address]:
    """As this machine resolves names."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(str(address[0]), port) for *_, address in found]


class Wire(TransportFactory):
    """Makes one connection, and remembers the socket: the library closes it only when all it has buffered is sent."""

    def __init__(self, addresses: Addresses, brokers: Sequence[URL], resolve: Resolve) -> None:
        self._addresses = addresses
        self._brokers = brokers
        self._resolve = resolve
        self._names: dict[Address, str] = {}
        self._frames: Frames | None = None
        self.address: Address | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the address that is most likely to serve. Raises AMQPConnectionError."""
        provider = kwargs.pop("ssl_context_provider", None)
        if url.scheme == "amqps" and provider is not None:
            kwargs |= {"ssl": await provider.get_context()}
        self._names = await self._look_up()
        order = self._addresses.order(self._names, time.monotonic(), random.random)
        return await self._first(order, kwargs)

    async def _look_up(self) -> dict[Address, str]:
        """By address, the name that stands for it. A name that stands for nothing is no matter where another does."""
        answers = await asyncio.gather(*map(self._addresses_of, self._brokers), return_exceptions=True)
        names: dict[Address, str] = {}
        failures: list[str] = []
        for broker, found in zip(self._brokers, answers, strict=True):
            if isinstance(found, OSError):
                failures.append(_said(found, broker.host))
            elif isinstance(found, BaseException):
                raise found
            else:
                names |= dict.fromkeys(found, broker.host or "")
        if not names:
            raise AMQPConnectionError("; ".join(failures))
        return names

    async def _addresses_of(self, broker: URL) -> Sequence[Address]:
        async with asyncio.timeout(CONNECT_SECONDS if len(self._brokers) > 1 else None):
            return await self._resolve(broker.host or "", broker.port or 0)

    async def _first(
        self, order: Sequence[Address], kwargs: dict[str, Any]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        failures: list[str] = []
        cause: Exception | None = None
        for address in order:
            self.address = address
            # Before it is tried: whoever loses patience with it meanwhile will not begin with it again.
            self._addresses.leave(address, time.monotonic())
            try:
                async with asyncio.timeout(CONNECT_SECONDS if len(order) > 1 else None):
                    return await self._connect(address, kwargs)
            except (OSError, TimeoutError) as error:
                cause = error
                failures.append(_said(error, address))
        raise AMQPConnectionError("; ".join(failures)) from cause

    async def _connect(
        self, address: Address, kwargs: dict[str, Any]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As asyncio.open_connection does, but for whom the bytes go to that come."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        self._frames = frames = Frames(reader)
        if "ssl" in kwargs:
            kwargs = {**kwargs, "server_hostname": self._names[address]}
        transport, _ = await loop.create_connection(lambda: frames, address.host, address.port, **kwargs)
        return reader, asyncio.StreamWriter(transport, frames, reader, loop)

    @property
    def frames(self) -> Frames:
        """What comes and goes on the connection. Raises LogUnavailable where there is none."""
        if self._frames is None:
            raise LogUnavailable("not connected")
        return self._frames

    def leave(self) -> None:
        """The connection has ended: others are tried first."""
        if self.address is not None:
            self._addresses.leave(self.address, time.monotonic())

    def cut(self) -> None:
        """Drop the connection with whatever is unsent."""
        if self._frames is not None:
            self._frames.cut()


def _said(error: Exception, asked: object) -> str:
    return " ".join(map(str, error.args)) or f"no answer from {asked}"
