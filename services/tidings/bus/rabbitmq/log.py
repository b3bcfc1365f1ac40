"""RabbitMQ streams as a ChangeLog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Final, NoReturn

from aio_pika.connection import make_url
from yarl import URL

from tidings.bus.log import Entry, Start, Take
from tidings.bus.rabbitmq.consuming import Consuming
from tidings.bus.rabbitmq.link import Link
from tidings.bus.rabbitmq.publishing import BLOCKED, Publishing
from tidings.bus.rabbitmq.telling import Telling
from tidings.bus.rabbitmq.topology import Topology
from tidings.bus.rabbitmq.wire import Resolve, resolve
from tidings.bus.reading import one_by_one
from tidings.bus.retention import USUAL, Retention
from tidings.errors import LogUnavailable, ReadLost, SettingsError
from tidings.ops.settings.urls import each_host

HEARTBEAT_SECONDS: Final = 10
"""Asked of the broker, which hangs up after two silent ones; the client library does so after 33 s."""


class RabbitMQLog:
    """A ChangeLog on the broker at `url` (amqp or amqps), shared by every process with as many shards.

    `url` may name several hosts, with commas between them, and each may stand for several nodes of a cluster. Raises
    SettingsError for a URL that cannot be one. Streams that are not there yet get `retention`.
    """

    def __init__(self, url: str, shards: int, resolve: Resolve = resolve, retention: Retention = USUAL) -> None:
        brokers = _brokers(url)
        self._broker = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        topology = Topology(shards, retention)
        telling = Telling(f"{self._broker}{brokers[0].path}", ("publish", "consume"))
        self._shards = shards
        self._publishing = Link(
            "publish",
            brokers,
            lambda connection, frames: Publishing(connection, topology, telling, frames),
            telling,
            resolve,
        )
        self._consuming = Link(
            "consume",
            brokers,
            lambda connection, frames: Consuming(connection, topology, telling, frames),
            telling,
            resolve,
        )
        self._links: dict[str, Link[Publishing] | Link[Consuming]] = {
            "publish": self._publishing,
            "consume": self._consuming,
        }

    @property
    def shards(self) -> int:
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
    def down(self) -> Mapping[str, str]:
        """Of each connection that is down, why. One that has not been tried yet is not down."""
        ended = {name: link.ended for name, link in self._links.items() if link.session is None}
        return {name: f"{self._broker}: {why}" for name, why in ended.items() if why is not None}

    @property
    def alarm(self) -> str | None:
        """Why the broker blocks publishing, if it is known to."""
        return f"{self._broker}: {BLOCKED}" if self.blocked else None

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
        # What they tell, several lines and a traceback per lost connection, is told in one (telling.py).
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

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        """Hand over entries, together what came together. Raises ReadLost when cut off, at once when not connected."""
        session = self._consuming.session
        if session is None:
            raise ReadLost("not connected")
        await session.follow(shard, start, take)

    def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield entries one by one: see `follow`."""
        return one_by_one(lambda take: self.follow(shard, start, take))


def _brokers(url: str) -> list[URL]:
    """The broker's addresses. The error does not repeat the URL: it holds a password."""
    try:
        brokers = [make_url(each, heartbeat=HEARTBEAT_SECONDS) for each in each_host(url)]
    except ValueError:
        brokers = [URL()]
    if any(broker.scheme not in {"amqp", "amqps"} or not broker.host for broker in brokers):
        raise SettingsError("--bus (TIDINGS_BUS): must be amqp://user:password@host:port/vhost or amqps://...")
    return brokers
