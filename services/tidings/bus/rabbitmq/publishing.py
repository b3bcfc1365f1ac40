"""The session that appends."""

from __future__ import annotations

import asyncio
from typing import Final

from aio_pika import Connection

from tidings.bus.rabbitmq.confirming import Confirming
from tidings.bus.rabbitmq.declaring import ANSWER_SECONDS
from tidings.bus.rabbitmq.failures import failing_as
from tidings.bus.rabbitmq.frames import MAX_CHANNELS, Frames
from tidings.bus.rabbitmq.publishes import PublishFrames
from tidings.bus.rabbitmq.session import Session
from tidings.bus.rabbitmq.telling import Telling
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import LogUnavailable

APPEND_SECONDS: Final = 2.0
BLOCKED: Final = "the broker blocks publishers (memory or disk alarm)"


class Publishing(Session):
    """Publishes on one channel and waits for the broker's confirms."""

    def __init__(self, connection: Connection, topology: Topology, telling: Telling, frames: Frames) -> None:
        super().__init__(connection, topology, telling, frames)
        self._channel: Confirming | None = None

    @property
    def obstacle(self) -> str | None:
        """What keeps a publish from being tried, if anything."""
        if self.blocked:
            return BLOCKED
        if self._channel is None or self._channel.is_closed:
            return "the channel is closed"
        return None

    async def check(self) -> None:
        """Declare what is missing and open the channel again if an error closed it."""
        await super().check()
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._open()

    async def _open(self) -> Confirming:
        tune = self._transport.connection.connection_tune
        # The library takes the lowest numbers.
        number = tune.channel_max or MAX_CHANNELS
        publishes = PublishFrames(number, self._topology.exchange, tune.frame_max)
        channel = Confirming(self._frames, number, publishes, APPEND_SECONDS, self.doubt)
        channel.open()
        async with asyncio.timeout(ANSWER_SECONDS):
            await channel.opened
        return channel

    async def publish(self, shard: int, payload: bytes) -> None:
        """Publish once and wait for the confirm. Raises LogUnavailable."""
        channel, obstacle = self._channel, self.obstacle
        if channel is None or obstacle is not None:
            raise LogUnavailable(obstacle)
        try:
            with failing_as(LogUnavailable):
                await channel.publish(self._topology.routing_key(shard), payload)
        except LogUnavailable as error:
            self.failed(error)
            if self.blocked:
                raise LogUnavailable(BLOCKED) from error
            raise

    def looked_for_block(self, before: bool) -> None:
        """Have what waits for a confirm wait no longer: the broker reads nothing until the alarm is over."""
        if not self.blocked:
            self._telling.unblocked()
            return
        self._telling.blocked(BLOCKED)
        if not before and self._channel is not None:
            self._channel.unconfirmed.give_up(LogUnavailable(BLOCKED))
