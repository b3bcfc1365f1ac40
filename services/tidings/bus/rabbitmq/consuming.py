"""The session that reads, each reader on a channel of its own: an error closes no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from aiormq import Channel, spec
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable

from tidings.bus.log import Entry, Start
from tidings.bus.rabbitmq.failures import failing_as
from tidings.bus.rabbitmq.inbox import PREFETCH, Inbox
from tidings.bus.rabbitmq.session import ANSWER_SECONDS, Session
from tidings.bus.rabbitmq.topology import first_offset, offset_argument
from tidings.errors import ReadLost


class Consuming(Session):
    """Consumes streams."""

    async def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield a shard's entries from `start` on. Raises ReadLost."""
        with self._doubting():
            channel = await self.open_channel(confirms=False)
        inbox = Inbox()
        try:
            with self._doubting():
                await self._consume(channel, inbox, shard, start)
            first = first_offset(start)
            while True:
                entry, ack = await inbox.take()
                if ack is not None:
                    with failing_as(ReadLost):
                        await channel.basic_ack(ack, multiple=True, wait=False)
                if entry.offset >= first:
                    yield entry
        finally:
            inbox.end("detached")
            self.close_channel(channel)

    async def _consume(self, channel: Channel, inbox: Inbox, shard: int, start: Start) -> None:
        async def deliver(message: DeliveredMessage) -> None:
            delivery, headers = message.delivery, message.header.properties.headers or {}
            offset = headers.get("x-stream-offset")
            if isinstance(offset, int) and isinstance(delivery, spec.Basic.Deliver) and delivery.delivery_tag:
                inbox.put(delivery.delivery_tag, Entry(offset, message.body))
            else:
                inbox.end("a delivery without an offset")

        def cancelled(_: spec.Basic.Cancel) -> None:
            inbox.end("cancelled by the broker")
            self.doubt()

        channel.closing.add_done_callback(lambda _: inbox.end("the channel was closed"))
        channel.on_consumer_cancel_callbacks.add(cancelled)
        async with asyncio.timeout(ANSWER_SECONDS):
            await channel.basic_qos(prefetch_count=PREFETCH)
            arguments: FieldTable = {"x-stream-offset": offset_argument(start)}
            await channel.basic_consume(self._topology.stream(shard), deliver, arguments=arguments)

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        try:
            with failing_as(ReadLost):
                yield
        except ReadLost:
            self.doubt()
            raise
