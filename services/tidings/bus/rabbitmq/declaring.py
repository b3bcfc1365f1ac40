"""Seeing to it that the topology is there."""

from __future__ import annotations

import asyncio
from typing import Final

from aio_pika import Connection
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.common import FieldTable

from tidings.bus.rabbitmq.failures import keeps_another_retention
from tidings.bus.rabbitmq.telling import Telling
from tidings.bus.rabbitmq.topology import Topology

ANSWER_SECONDS: Final = 5.0
"""For the broker's answer to anything but a publish, connecting included.

Kept with asyncio.timeout and never the library's own timeouts: those are asyncio.wait_for, which until Python 3.12
swallows a cancellation that comes together with the answer.
"""


class Declaring:
    """Declares what is missing, on a channel of its own: a conflict closes it.

    A stream that is there with another retention stays as it is. The broker would refuse each of them and say so in its
    log: after the first one, streams are asked for before they are declared.
    """

    def __init__(self, connection: Connection, topology: Topology, telling: Telling) -> None:
        self._connection = connection
        self._topology = topology
        self._telling = telling
        self._others = False

    async def declare(self) -> AbstractChannel:
        """Declare what is missing; the channel that is to be closed."""
        self._others = False
        channel = await self._open()
        async with asyncio.timeout(ANSWER_SECONDS):
            await channel.declare_exchange(self._topology.exchange, durable=True)
        for shard in range(self._topology.shards):
            name = self._topology.stream(shard)
            channel = await self._stream(channel, name)
            async with asyncio.timeout(ANSWER_SECONDS):
                stream = await channel.get_queue(name, ensure=False)
                await stream.bind(self._topology.exchange, self._topology.routing_key(shard))
        return channel

    async def _open(self) -> AbstractChannel:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._connection.channel()

    async def _stream(self, channel: AbstractChannel, name: str) -> AbstractChannel:
        """Declare a stream; the channel to go on with."""
        if self._others:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                channel = await self._open()
            else:
                return channel
        arguments: FieldTable = {**self._topology.stream_arguments()}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await channel.declare_queue(name, durable=True, arguments=arguments)
        except ChannelPreconditionFailed as error:
            if not keeps_another_retention(error):
                raise
            self._others = True
            self._telling.another_retention(str(error))
            channel = await self._open()
        return channel
