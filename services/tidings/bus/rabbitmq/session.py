"""One connection to the broker while it lasts, and the topology it keeps there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, cast

from aio_pika import Connection
from aio_pika.abc import AbstractChannel
from aiormq import Channel
from pamqp.common import FieldTable

from tidings.bus.rabbitmq.failures import reason
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import LogUnavailable

ANSWER_SECONDS: Final = 5.0
"""For the broker's answer to anything but a publish, connecting included.

Kept with asyncio.timeout and never the library's own timeouts: those are asyncio.wait_for, which until Python 3.12
swallows a cancellation that comes together with the answer.
"""
POLL_SECONDS: Final = 0.5


class Session:
    """Sees to it that the topology is there, again whenever that is in doubt."""

    def __init__(self, connection: Connection, topology: Topology) -> None:
        if connection.transport is None:
            raise LogUnavailable("not connected")
        self._connection = connection
        self._transport = connection.transport
        self._topology = topology
        self._wake = asyncio.Event()
        self._doubted = False
        self._channels_closing: set[asyncio.Future[None]] = set()
        self._closing = connection.transport.connection.closing
        self._closing.add_done_callback(lambda _: self._wake.set())
        self.blocked = False

    def doubt(self) -> None:
        """Have connection and topology checked: something did not go as it should."""
        self._doubted = True
        self._wake.set()

    async def check(self) -> None:
        """Declare what is missing, on a channel of its own: a conflict closes it."""
        self._doubted = False
        async with asyncio.timeout(ANSWER_SECONDS):
            channel = await self._connection.channel()
            exchange = await channel.declare_exchange(self._topology.exchange, durable=True)
        arguments: FieldTable = {**self._topology.stream_arguments()}
        for shard in range(self._topology.shards):
            async with asyncio.timeout(ANSWER_SECONDS):
                name = self._topology.stream(shard)
                stream = await channel.declare_queue(name, durable=True, arguments=arguments)
                await stream.bind(exchange, self._topology.routing_key(shard))
        self.close_channel(channel)

    async def open_channel(self, *, confirms: bool) -> Channel:
        """Open a bare channel; with `confirms`, one on which what is returned fails its publish."""
        async with asyncio.timeout(ANSWER_SECONDS):
            channel = await self._transport.connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        return cast("Channel", channel)

    def close_channel(self, channel: AbstractChannel | Channel) -> None:
        """Close a channel, and with it its consumer, in its own time.

        Nobody waits, for that would have to end somewhere: a close that is cancelled is sent a second time, to which
        the broker answers by closing the connection.
        """
        closing = asyncio.ensure_future(channel.close())
        self._channels_closing.add(closing)
        closing.add_done_callback(self._channels_closing.discard)

    async def watch(self) -> str:
        """Check when in doubt, until the connection has ended; return why it did."""
        while not self._closing.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            await self._look_for_block()
            # A blocked connection gets no answers; it is checked once it is not.
            if self._doubted and not self.blocked and not self._closing.done():
                await self.check()
        return reason(None if self._closing.cancelled() else self._closing.exception())

    async def _look_for_block(self) -> None:
        blocked = await self._is_blocked()
        if blocked != self.blocked:
            self.blocked = blocked
            self.block_changed()

    def block_changed(self) -> None:
        """`blocked` has changed. The broker blocks only connections that publish."""

    async def _is_blocked(self) -> bool:
        # The library tells nobody when the broker blocks a connection, but lets one wait for the contrary.
        try:
            async with asyncio.timeout(0):
                await self._transport.ready()
        except TimeoutError:
            return True
        return False
