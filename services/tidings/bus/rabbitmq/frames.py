"""The socket of a connection: the library gets what is its own, readers their channels' frames as they come."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol, cast

from pamqp.frame import marshal
from pamqp.heartbeat import Heartbeat

from tidings.bus.rabbitmq import splitting
from tidings.bus.rabbitmq.splitting import MESSAGE_BYTES, Splitter

ALIVE_SECONDS: Final = 1.0
"""How often the library is told that the broker lives, while all that comes is for readers."""

MAX_CHANNELS: Final = 65_535
"""The highest number of a channel where a broker names no bound."""

_HEARTBEAT: Final = marshal(Heartbeat(), 0)


class Channel(splitting.Channel, Protocol):
    """Who has a channel of a connection."""

    def settle(self) -> None:
        """Everything that came with one read of the socket is here."""

    def lost(self) -> None:
        """The connection has ended, and the channel with it."""


class Frames(asyncio.StreamReaderProtocol):
    """Hands whole frames on: those of `channels` to whoever has the channel, all others to the library.

    The library connects, and keeps the connection. It would give up one on which it hears nothing, and the broker sends
    no heartbeats while it sends anything else: so the library is given some.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.channels: dict[int, Channel] = {}
        self._splitter = Splitter(self.channels)
        self._transport: asyncio.Transport | None = None
        self._unsettled: list[Channel] = []
        self._told = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast("asyncio.Transport", transport)

    @property
    def ending(self) -> bool:
        """Whether nothing is sent any more."""
        return self._transport is None or self._transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._transport = None
        for channel in list(self.channels.values()):
            channel.lost()

    def bound(self, frame_bytes: int) -> None:
        """No frame is longer than this; 0 is what RabbitMQ calls no bound."""
        self._splitter.longest = frame_bytes or MESSAGE_BYTES

    def data_received(self, data: bytes) -> None:
        others = self._splitter.feed(data)
        now = time.monotonic()
        if not others and self.channels and now - self._told > ALIVE_SECONDS:
            others = _HEARTBEAT
        if others:
            self._told = now
            super().data_received(others)
        unsettled, self._unsettled = self._unsettled, []
        for channel in unsettled:
            channel.settle()
        if self._splitter.astray:
            self.cut()

    def settle(self, channel: Channel) -> None:
        """Have a channel settle once the read at hand is at its end."""
        self._unsettled.append(channel)

    def send(self, frames: bytes) -> None:
        """Send whole frames, unless the connection is about to end."""
        if self._transport is not None and not self.ending:
            self._transport.write(frames)

    def cut(self) -> None:
        """Drop the connection with whatever is unsent."""
        if self._transport is not None:
            self._transport.abort()
