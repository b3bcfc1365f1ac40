"""A channel on which what is published is confirmed (RabbitMQ's publisher confirms), or comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiormq.exceptions import ChannelClosed
from pamqp import commands as spec
from pamqp.base import Frame
from pamqp.exceptions import PAMQPException
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from tidings.bus.rabbitmq.frames import Frames
from tidings.bus.rabbitmq.publishes import PublishFrames, read_confirm
from tidings.bus.rabbitmq.splitting import HEAD_BYTES, HEADER, METHOD
from tidings.bus.rabbitmq.unconfirmed import Unconfirmed
from tidings.errors import LogUnavailable


class Confirming:
    """Publishes to one exchange; each publish waits for its confirm for so many seconds at most.

    What is published in one turn of the loop is sent in one go. `closed` is called once, when the channel has ended.
    """

    def __init__(
        self, frames: Frames, channel: int, publishes: PublishFrames, seconds: float, closed: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.is_closed = False
        self._frames = frames
        self._channel = channel
        self._publishes = publishes
        self._closed = closed
        self._tag = 0
        self._unsent: list[bytes] = []
        self.unconfirmed = Unconfirmed(seconds)

    def open(self) -> None:
        """Ask for the channel; `opened` says when it is there."""
        self._frames.channels[self._channel] = self
        self._send(spec.Channel.Open(), spec.Confirm.Select())

    def publish(self, routing_key: str, payload: bytes) -> asyncio.Future[None]:
        """Send; the future says what becomes of it."""
        self._tag += 1
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(self._publishes.encode(routing_key, self._tag, payload))
        return self.unconfirmed.add(self._tag)

    def frame(self, kind: int, data: bytes, at: int, stop: int) -> None:
        """Take a frame of this channel."""
        if kind == METHOD:
            confirm = read_confirm(data, at, stop)
            if confirm is not None:
                error = LogUnavailable("refused by the broker (nack)") if confirm.refused else None
                self.unconfirmed.answered(confirm.tag, error, multiple=confirm.multiple)
                return
        try:
            self._heed(kind, unmarshal(data[at - HEAD_BYTES : stop + 1])[2])
        except (PAMQPException, ValueError):
            self._end(LogUnavailable("the broker sent a frame that cannot be read"))

    def settle(self) -> None:
        """Nothing waits for the end of what came together."""

    def lost(self) -> None:
        """The connection has ended."""
        self._end(ConnectionError())

    def _heed(self, kind: int, read: object) -> None:
        match read:
            case spec.Confirm.SelectOk():
                if not self.opened.done():
                    self.opened.set_result(None)
            case ContentHeader() if kind == HEADER:
                # Nothing is delivered on this channel: it is of a message that comes back. Its confirm follows.
                self._returned(str(read.properties.message_id))
            case spec.Channel.Close():
                self._send(spec.Channel.CloseOk())
                self._end(ChannelClosed(read.reply_code, read.reply_text))
            case spec.Channel.CloseOk():
                # Nobody here closes the channel: no confirm comes any more.
                self._end(LogUnavailable("the broker closed the channel without a reason"))
            case _:
                pass

    def _returned(self, message_id: str) -> None:
        if message_id.isdecimal():
            error = LogUnavailable("returned by the broker: no stream is bound for the shard")
            self.unconfirmed.answered(int(message_id), error)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self.is_closed:
            self._frames.send(b"".join(unsent))

    def _end(self, error: Exception) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        del self._frames.channels[self._channel]
        if not self.opened.done():
            self.opened.set_exception(error)
        self.unconfirmed.give_up(error)
        self._closed()

    def _send(self, *methods: Frame) -> None:
        self._frames.send(b"".join([marshal(method, self._channel) for method in methods]))
