"""The session that appends."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

import structlog
from aio_pika import Connection
from aiormq import Channel, spec

from tidings.bus.rabbitmq.failures import failing_as
from tidings.bus.rabbitmq.session import Session
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import LogUnavailable

APPEND_SECONDS: Final = 2.0
PERSISTENT: Final = 2
BLOCKED: Final = "the broker blocks publishers (memory or disk alarm)"

_log = structlog.get_logger()


class Publishing(Session):
    """Publishes on one channel and waits for the broker's confirms."""

    def __init__(self, connection: Connection, topology: Topology) -> None:
        super().__init__(connection, topology)
        self._channel: Channel | None = None
        self._message_ids = count()
        self._deadlines: set[asyncio.Timeout] = set()

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
            channel = await self.open_channel(confirms=True)
            channel.closing.add_done_callback(lambda _: self.doubt())
            self._channel = channel

    async def publish(self, shard: int, payload: bytes) -> None:
        """Publish once and wait for the confirm. Raises LogUnavailable."""
        channel, obstacle = self._channel, self.obstacle
        if channel is None or obstacle is not None:
            raise LogUnavailable(obstacle)
        deadline = asyncio.timeout(APPEND_SECONDS)
        self._deadlines.add(deadline)
        try:
            with failing_as(LogUnavailable):
                async with deadline:
                    await channel.basic_publish(
                        payload,
                        exchange=self._topology.exchange,
                        routing_key=self._topology.routing_key(shard),
                        # The library matches what is returned by message id, and its own random ones are dear.
                        properties=spec.Basic.Properties(
                            delivery_mode=PERSISTENT, message_id=str(next(self._message_ids))
                        ),
                        mandatory=True,
                        wait=False,
                    )
        except LogUnavailable as error:
            self.doubt()
            if self.blocked:
                raise LogUnavailable(BLOCKED) from error
            raise
        finally:
            self._deadlines.discard(deadline)

    def block_changed(self) -> None:
        """Have what waits for a confirm wait no longer: the broker reads nothing until the alarm is over."""
        if not self.blocked:
            _log.info("bus unblocked", connection="publish")
            return
        _log.warning("bus blocked", connection="publish", reason=BLOCKED)
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            deadline.reschedule(now)
