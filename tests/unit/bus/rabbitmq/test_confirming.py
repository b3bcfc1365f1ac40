"""The channel over a socket of which the test is the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiormq import spec
from aiormq.exceptions import ChannelClosed
from pamqp import frame
from pamqp.base import Frame
from pamqp.header import ContentHeader

from tests.support.waiting import within
from tidings.bus.rabbitmq.confirming import Confirming
from tidings.bus.rabbitmq.frames import Frames
from tidings.bus.rabbitmq.publishes import PublishFrames
from tidings.errors import LogUnavailable

CHANNEL = 2047


class Broker:
    """Sends frames, and reads those of the channel."""

    def __init__(self, frames: Frames, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.closed = 0
        publishes = PublishFrames(CHANNEL, "exchange", 0)
        self.channel = Confirming(frames, CHANNEL, publishes, 60.0, self._count)
        self._reader = reader
        self._writer = writer

    def _count(self) -> None:
        self.closed += 1

    def send(self, *methods: Frame | ContentHeader) -> None:
        self._writer.write(b"".join(frame.marshal(method, CHANNEL) for method in methods))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    def hang_up(self) -> None:
        self._writer.close()

    async def next(self) -> object:
        """The next frame that it is sent."""
        async with within(5):
            head = await self._reader.readexactly(7)
            rest = await self._reader.readexactly(int.from_bytes(head[3:], "big") + 1)
        _, channel, read = frame.unmarshal(head + rest)
        assert channel == CHANNEL
        return read

    async def opened(self) -> None:
        self.channel.open()
        assert isinstance(await self.next(), spec.Channel.Open)
        assert isinstance(await self.next(), spec.Confirm.Select)
        self.send(spec.Channel.OpenOk(), spec.Confirm.SelectOk())
        await self.channel.opened


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()
    async with await asyncio.start_server(lambda *ends: accepted.set_result(ends), "127.0.0.1", 0) as server:
        frames = Frames(asyncio.StreamReader())
        port = server.sockets[0].getsockname()[1]
        await asyncio.get_running_loop().create_connection(lambda: frames, "127.0.0.1", port)
        reader, writer = await accepted
        yield Broker(frames, reader, writer)
        frames.cut()
        writer.close()


async def test_a_publish_waits_for_its_confirm(broker: Broker) -> None:
    await broker.opened()
    one, two = broker.channel.publish("1", b"one"), broker.channel.publish("2", b"two")
    sent = [await broker.next() for _ in range(6)]
    assert [each.routing_key for each in sent if isinstance(each, spec.Basic.Publish)] == ["1", "2"]
    broker.send(spec.Basic.Ack(2))
    await two
    assert not one.done()
    broker.send(spec.Basic.Nack(1))
    with pytest.raises(LogUnavailable, match="nack"):
        await one


async def test_what_comes_back_fails_although_it_is_confirmed(broker: Broker) -> None:
    await broker.opened()
    one, two = broker.channel.publish("1", b"one"), broker.channel.publish("2", b"two")
    back = ContentHeader(body_size=0, properties=spec.Basic.Properties(delivery_mode=2, message_id="2"))
    foreign = ContentHeader(body_size=0, properties=spec.Basic.Properties(message_id="no number"))
    returned = spec.Basic.Return(312, "NO_ROUTE", "exchange", "2")
    broker.send(returned, foreign, returned, back, spec.Basic.Ack(2, True))
    await one
    with pytest.raises(LogUnavailable, match="returned"):
        await two


async def test_a_channel_that_the_broker_closes_fails_what_waits_and_is_sent_nothing_more(broker: Broker) -> None:
    await broker.opened()
    one = broker.channel.publish("1", b"one")
    for _ in range(3):
        await broker.next()
    broker.send(spec.Channel.Close(404, "NOT_FOUND - no exchange", 60, 40))
    assert isinstance(await broker.next(), spec.Channel.CloseOk)
    with pytest.raises(ChannelClosed, match="NOT_FOUND"):
        await one
    assert broker.channel.is_closed
    assert broker.closed == 1


async def test_a_close_that_nobody_has_asked_for_fails_what_waits(broker: Broker) -> None:
    await broker.opened()
    one = broker.channel.publish("1", b"one")
    broker.send(spec.Channel.CloseOk())
    with pytest.raises(LogUnavailable, match="without a reason"):
        await one
    assert broker.channel.is_closed
    assert broker.closed == 1


async def test_what_was_about_to_be_sent_on_a_closed_channel_is_not(broker: Broker) -> None:
    await broker.opened()
    late = broker.channel.publish("1", b"late")
    broker.channel.lost()
    with pytest.raises(ConnectionError):
        await late
    await broker.opened()
    assert broker.closed == 1


async def test_a_connection_that_ends_fails_what_waits(broker: Broker) -> None:
    await broker.opened()
    one = broker.channel.publish("1", b"one")
    broker.hang_up()
    with pytest.raises(ConnectionError):
        await one
    assert broker.closed == 1


async def test_a_channel_that_is_refused_is_said_so(broker: Broker) -> None:
    broker.channel.open()
    broker.send(spec.Channel.Close(504, "CHANNEL_ERROR", 20, 10))
    with pytest.raises(ChannelClosed, match="CHANNEL_ERROR"):
        await broker.channel.opened


async def test_a_frame_that_cannot_be_read_ends_the_channel(broker: Broker) -> None:
    await broker.opened()
    one = broker.channel.publish("1", b"one")
    broker.send_bytes(b"\x01\x07\xff\x00\x00\x00\x04\xff\xff\xff\xff\xce")
    with pytest.raises(LogUnavailable, match="cannot be read"):
        await one
