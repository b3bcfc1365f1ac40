"""The session that reads."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from aio_pika import Connection

from tidings.bus.log import Start, Take
from tidings.bus.rabbitmq.acks import Acks
from tidings.bus.rabbitmq.declaring import ANSWER_SECONDS
from tidings.bus.rabbitmq.failures import reason
from tidings.bus.rabbitmq.frames import MAX_CHANNELS, Frames
from tidings.bus.rabbitmq.reader import Reader
from tidings.bus.rabbitmq.session import Session
from tidings.bus.rabbitmq.telling import Telling
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import ReadLost

LIBRARY_CHANNELS: Final = 16
"""The lowest numbers are the library's, which takes the lowest that it has not in use; it needs one or two."""


class Consuming(Session):
    """Consumes streams."""

    def __init__(self, connection: Connection, topology: Topology, telling: Telling, frames: Frames) -> None:
        super().__init__(connection, topology, telling, frames)
        self._acks = Acks(frames.send)
        self._served = 0
        self._highest = self._transport.connection.connection_tune.channel_max or MAX_CHANNELS

    @property
    def serves(self) -> bool:
        return self._served > 0

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        """Hand over a shard's entries from `start` on. Raises ReadLost, and what `take` raises."""
        reader = Reader(self._frames, self._free_channel(), self._acks, start, take)
        reader.open(self._topology.stream(shard))
        try:
            raise await self._refused(reader) or await self._ended(reader)
        except ReadLost as error:
            self.failed(error)
            raise
        finally:
            reader.close()

    async def _ended(self, reader: Reader) -> Exception:
        """Why a reader that the broker delivers to has ended."""
        self._served += 1
        try:
            return await reader.ended
        finally:
            self._served -= 1

    async def _refused(self, reader: Reader) -> Exception | None:
        """Why the broker does not deliver; None once it does."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await reader.started
        except TimeoutError as error:
            raise ReadLost(reason(error)) from error

    def _free_channel(self) -> int:
        if self._frames.ending:
            raise ReadLost("the connection was closed")
        taken = self._frames.channels
        for number in range(self._highest, LIBRARY_CHANNELS, -1):
            if number not in taken:
                return number
        raise ReadLost("every channel of the connection is in use")
