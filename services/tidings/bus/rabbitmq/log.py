"""RabbitMQ streams as a ChangeLog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from aio_pika.connection import make_url
from yarl import URL

from tidings.bus.log import Entry, Start
from tidings.bus.rabbitmq.consuming import Consuming
from tidings.bus.rabbitmq.link import Link
from tidings.bus.rabbitmq.publishing import Publishing
from tidings.bus.rabbitmq.topology import Topology
from tidings.errors import LogUnavailable, ReadLost, SettingsError

HEARTBEAT_SECONDS: Final = 10
"""Asked of the broker, which hangs up after two silent ones; the client library does so after 33 s."""


class RabbitMQLog:
    """A ChangeLog on the broker at `url` (amqp or amqps), shared by every process with as many shards.

    Raises SettingsError for a URL that cannot be one.
    """

    def __init__(self, url: str, shards: int) -> None:
        address = _address(url)
        topology = Topology(shards)
        self._shards = shards
        self._publishing = Link("publish", address, lambda connection: Publishing(connection, topology))
        self._consuming = Link("consume", address, lambda connection: Consuming(connection, topology))
        self._links: dict[str, Link[Publishing] | Link[Consuming]] = {
            "publish": self._publishing,
            "consume": self._consuming,
        }

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return self._shards

    @property
    def can_append(self) -> bool:
        """Whether the publishing connection is up and not blocked.

        A broker in alarm blocks a connection only when that publishes: the first append then fails within a second,
        those after it at once.
        """
        session = self._publishing.session
        return session is not None and session.obstacle is None

    @property
    def can_read(self) -> bool:
        """Whether the consuming connection is up."""
        return self._consuming.session is not None

    @property
    def blocked(self) -> bool:
        """Whether the broker is known to block publishing."""
        session = self._publishing.session
        return session is not None and session.blocked

    @property
    def connected(self) -> Mapping[str, bool]:
        """By connection, whether it is up."""
        return {name: link.session is not None for name, link in self._links.items()}

    @property
    def failures(self) -> Mapping[str, int]:
        """By connection, how often it ended or could not be made."""
        return {name: link.failures for name, link in self._links.items()}

    async def open(self) -> None:
        """Begin connecting and return at once."""
        # What they tell, several lines and a traceback per lost connection, is told by the supervisor in one.
        for library in ("aiormq", "aio_pika"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._publishing.open()
        self._consuming.open()

    async def close(self) -> None:
        """Close both connections, within 2 s whatever the broker does. Readers end with ReadLost."""
        await asyncio.gather(self._publishing.close(), self._consuming.close())

    async def append(self, shard: int, payload: bytes) -> None:
        """Return once the broker confirmed. Raises LogUnavailable otherwise, after 2 s at most.

        Nothing bounds what is appended at once but the callers: a batcher keeps one append per shard.
        """
        session = self._publishing.session
        if session is None:
            raise LogUnavailable("not connected")
        await session.publish(shard, payload)

    async def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield entries from `start` on. Raises ReadLost when cut off, at once when not connected."""
        session = self._consuming.session
        if session is None:
            raise ReadLost("not connected")
        async with aclosing(session.read(shard, start)) as entries:
            async for entry in entries:
                yield entry


def _address(url: str) -> URL:
    """The broker's address. The error does not repeat the URL: it holds a password."""
    try:
        address = make_url(url, heartbeat=HEARTBEAT_SECONDS)
    except ValueError:
        address = URL()
    if address.scheme not in {"amqp", "amqps"} or not address.host:
        raise SettingsError("--bus (TIDINGS_BUS): must be amqp://user:password@host:port/vhost or amqps://...")
    return address
