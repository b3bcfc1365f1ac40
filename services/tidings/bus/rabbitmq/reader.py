"""One consumer of a stream, on a channel of its own: an error closes no other."""

from __future__ import annotations

import asyncio
from typing import Final

from aiormq.exceptions import ChannelClosed
from pamqp import commands as spec
from pamqp.base import Frame
from pamqp.frame import marshal, unmarshal

from tidings.bus.log import Start, Take
from tidings.bus.rabbitmq.acks import PREFETCH, Acks
from tidings.bus.rabbitmq.deliveries import Deliveries, is_delivery
from tidings.bus.rabbitmq.failures import reason
from tidings.bus.rabbitmq.frames import Frames
from tidings.bus.rabbitmq.splitting import HEAD_BYTES, METHOD
from tidings.bus.rabbitmq.topology import first_offset, offset_argument
from tidings.errors import ReadLost

MAX_WAITING: Final = 32 * PREFETCH
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""What may wait for a reader that takes its time. It leaves room because a broker sends whole chunks, however little
credit is left."""


class Reader:
    """Hands over what is delivered, once for each read of the socket.

    `started` is None once the broker has said that it delivers, or why it does not; `ended` is why it has ended.
    """

    def __init__(self, frames: Frames, channel: int, acks: Acks, start: Start, take: Take) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[Exception | None] = loop.create_future()
        self.ended: asyncio.Future[Exception] = loop.create_future()
        self._frames = frames
        self._channel = channel
        self._acks = acks
        self._start = start
        self._take = take
        self._deliveries = Deliveries(first_offset(start))
        self._unsettled = False
        self._busy: asyncio.Future[None] | None = None
        self._closing = False

    def open(self, stream: str) -> None:
        """Have the broker deliver. Nothing is waited for: where it refuses a step, it closes the channel."""
        self._frames.channels[self._channel] = self
        self._send(
            spec.Channel.Open(),
            spec.Basic.Qos(prefetch_count=PREFETCH),
            spec.Basic.Consume(queue=stream, arguments={"x-stream-offset": offset_argument(self._start)}),
        )

    def close(self) -> None:
        """Have it deliver no more. What is on its way is dropped until the broker has heard of it."""
        self._end(ReadLost("detached"))
        if self._busy is not None:
            self._busy.cancel()
        self._acks.forget(self._channel)
        if self._channel in self._frames.channels:
            self._closing = True
            self._send(spec.Channel.Close(200, "", 0, 0))

    def frame(self, kind: int, data: bytes, at: int, stop: int) -> None:
        """Take a frame of this channel."""
        try:
            if kind == METHOD and not is_delivery(data, at):
                self._heed(unmarshal(data[at - HEAD_BYTES : stop + 1])[2])
            elif not self.ended.done():
                self._deliveries.frame(kind, data, at, stop)
                if self._deliveries.count and not self._unsettled:
                    self._unsettled = True
                    self._frames.settle(self)
        except ReadLost as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - the library raises almost anything for what it cannot read
            self._end(ReadLost(f"the broker sent a frame that cannot be read: {error}"))

    def settle(self) -> None:
        """Hand over what came, or keep it while the reader is busy."""
        self._unsettled = False
        waiting = self._deliveries
        if self._busy is None:
            self._hand_over()
        elif waiting.count > MAX_WAITING:
            self._end(ReadLost(f"the reader is too slow: {waiting.count} entries wait"))
        elif waiting.bytes > MAX_WAITING_BYTES:
            self._end(ReadLost(f"the reader is too slow: {waiting.bytes} bytes wait"))

    def lost(self) -> None:
        """The connection has ended."""
        del self._frames.channels[self._channel]
        self._end(ReadLost("the connection was closed"))

    def _hand_over(self) -> None:
        if self.ended.done():
            return
        waiting = self._deliveries
        tag, count, entries = waiting.tag, waiting.count, waiting.take()
        try:
            busy = self._take(entries) if entries else None
        except Exception as error:  # noqa: BLE001 - raised again by whoever follows
            self._end(error)
            return
        if busy is None:
            self._acks.owe(self._channel, tag, count)
            return
        self._busy = asyncio.ensure_future(busy)
        self._busy.add_done_callback(lambda busy: self._go_on(busy, tag, count))

    def _go_on(self, busy: asyncio.Future[None], tag: int, count: int) -> None:
        """The reader has taken what it was given."""
        self._busy = None
        if not busy.cancelled() and (error := busy.exception()) is not None:
            self._end(ReadLost(f"the reader failed: {error!r}"))
        if not self.ended.done():
            self._acks.owe(self._channel, tag, count)
            if self._deliveries.count:
                self._hand_over()

    def _heed(self, method: object) -> None:
        match method:
            case spec.Basic.ConsumeOk():
                if not self.started.done():
                    self.started.set_result(None)
            case spec.Basic.Cancel():
                self._end(ReadLost("cancelled by the broker"))
            case spec.Channel.CloseOk() if self._closing:
                del self._frames.channels[self._channel]
            case spec.Channel.CloseOk():
                # Nothing comes any more, and the number is free only when the broker has answered a close.
                self._end(ReadLost("the broker closed the channel without a reason"))
            case spec.Channel.Close():
                self._send(spec.Channel.CloseOk())
                # Both have closed it: the number is free when the broker has answered, too.
                if not self._closing:
                    del self._frames.channels[self._channel]
                cause = ChannelClosed(method.reply_code, method.reply_text)
                error = ReadLost(reason(cause))
                error.__cause__ = cause
                self._end(error)
            case _:
                pass

    def _end(self, error: Exception) -> None:
        # An ack on a channel that the broker has closed would end the connection.
        self._acks.forget(self._channel)
        if not self.ended.done():
            self.ended.set_result(error)
        if not self.started.done():
            self.started.set_result(error)

    def _send(self, *methods: Frame) -> None:
        self._frames.send(b"".join([marshal(method, self._channel) for method in methods]))
