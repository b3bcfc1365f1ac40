"""One connection to the broker while it lasts, and the topology it keeps there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aio_pika import Connection
from aio_pika.abc import AbstractChannel

from tidings.bus.rabbitmq.declaring import Declaring
from tidings.bus.rabbitmq.failures import is_not_here, reason
from tidings.bus.rabbitmq.frames import Frames
from tidings.bus.rabbitmq.telling import Telling
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import LogError, LogUnavailable

POLL_SECONDS: Final = 0.5


class Session:
    """Sees to it that the topology is there, again whenever that is in doubt."""

    def __init__(self, connection: Connection, topology: Topology, telling: Telling, frames: Frames) -> None:
        if connection.transport is None:
            raise LogUnavailable("not connected")
        self._transport = connection.transport
        # Both ways: what the broker gives back to a publisher comes in frames as long as ours.
        frames.bound(connection.transport.connection.connection_tune.frame_max)
        self._frames = frames
        self._topology = topology
        self._telling = telling
        self._declaring = Declaring(connection, topology, telling)
        self._wake = asyncio.Event()
        self._doubted = False
        self._not_here: str | None = None
        self._channels_closing: set[asyncio.Future[None]] = set()
        self._closing = connection.transport.connection.closing
        self._closing.add_done_callback(lambda _: self._wake.set())
        self.blocked = False

    def doubt(self) -> None:
        """Have connection and topology checked: something did not go as it should."""
        self._doubted = True
        self._wake.set()

    def failed(self, error: LogError) -> None:
        """Have seen to what an error tells of: what this node lacks another one may have, all else is to be checked."""
        if is_not_here(error.__cause__):
            self._not_here = str(error)
            self._wake.set()
        else:
            self.doubt()

    async def check(self) -> None:
        """Declare what is missing."""
        self._doubted = False
        self.close_channel(await self._declaring.declare())

    def close_channel(self, channel: AbstractChannel) -> None:
        """Close a channel, and with it its consumer, in its own time.

        Nobody waits, for that would have to end somewhere: a close that is cancelled is sent a second time, to which
        the broker answers by closing the connection.
        """
        closing = asyncio.ensure_future(channel.close())
        self._channels_closing.add(closing)
        closing.add_done_callback(self._channels_closing.discard)

    @property
    def serves(self) -> bool:
        """Whether something would be cut off if the connection ended now."""
        return True

    async def watch(self, may_leave: Callable[[bool], bool]) -> str:
        """Check when in doubt, until the connection has ended or is to be ended; return why.

        `may_leave` says whether this is a time to go to another node, given whether something is cut off by that.
        """
        while not self._closing.done():
            not_here, self._not_here = self._not_here, None
            if not_here is not None and may_leave(self.serves):
                return not_here
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
        before, self.blocked = self.blocked, await self._is_blocked()
        self.looked_for_block(before)

    def looked_for_block(self, before: bool) -> None:
        """`blocked` is what it is now, and was `before`. The broker blocks only connections that publish."""

    async def _is_blocked(self) -> bool:
        # The library tells nobody when the broker blocks a connection, but lets one wait for the contrary.
        try:
            async with asyncio.timeout(0):
                await self._transport.ready()
        except TimeoutError:
            return True
        return False
