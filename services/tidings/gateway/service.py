"""The gateway's composition root."""

from __future__ import annotations

import asyncio
import random
import resource
import socket
import time
from collections.abc import Iterable
from secrets import token_hex
from typing import Final

import structlog
from starlette.types import ASGIApp

from tidings.bus.log import ChangeLog
from tidings.gateway.account_page import AccountPage
from tidings.gateway.admission import Admission, Caps
from tidings.gateway.census import census
from tidings.gateway.closing import Closing
from tidings.gateway.connection import Connection
from tidings.gateway.deliveries import Deliveries
from tidings.gateway.drain import STEP_SECONDS, Goodbyes
from tidings.gateway.feed import Feed, FeedCounters
from tidings.gateway.front import Front, Route
from tidings.gateway.handover import HandOver
from tidings.gateway.hub import Hub
from tidings.gateway.journal import Journal
from tidings.gateway.listener import listen
from tidings.gateway.lives import LOOK_SECONDS, Lives
from tidings.gateway.metrics import GatewayMetrics
from tidings.gateway.parked import REFRESH_SECONDS, Lot, Parked
from tidings.gateway.parked_eventsource import EVENTSOURCE_PATH, EventSourceRoute
from tidings.gateway.parked_poll import POLL_PATH, PollRoute
from tidings.gateway.parked_websocket import WEBSOCKET_PATH, ParkedWebSocket
from tidings.gateway.pump import Pump
from tidings.gateway.reactor import WAKE_SECONDS, Reactor
from tidings.gateway.session import create_app
from tidings.gateway.settings import GatewaySettings
from tidings.gateway.subscriptions import Subscriptions
from tidings.gateway.talkers import Talkers
from tidings.ops.access import ClientAccess, client_access
from tidings.ops.auth import Gatekeeper
from tidings.ops.lifecycle import Runtime, Service
from tidings.ops.requests import Followed, Sampler

READY_POLL_SECONDS: Final = 0.2
GOODBYE_SECONDS: Final = 1.0
"""How long clients have on shutdown to answer their close frame."""
HAND_OVER_SECONDS: Final = 5.0
MIN_RESERVED_FILES: Final = 64
MOST_TALKERS: Final = 10
"""Accounts that the dashboard shows."""

_log = structlog.get_logger()


def compose(
    settings: GatewaySettings,
    log: ChangeLog,
    runtime: Runtime,
    fallback: ASGIApp | None = None,
    listener: socket.socket | None = None,
    access: ClientAccess | None = None,
) -> list[Service]:
    """The gateway as services to run; `fallback` serves every path of the public port that is not the gateway's.

    `listener` is what to accept from, in place of a socket of its own; `access` are the rules for clients, where
    somebody else goes by them too.

    Raises SettingsError when the settings contradict each other.
    """
    access = access or client_access(settings, settings.host, runtime)
    return [*access.services, GatewayService(settings, log, runtime, access.gatekeeper, fallback, listener)]


def unknown_state() -> str:
    """A state that no client has seen."""
    return f"resync-{token_hex(8)}"


def raise_file_limit() -> int:
    """Let this process open as many files as it is allowed to; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def room_for(files: int) -> int:
    """The connections that may be parked where so many files may be open: the log and other requests need some."""
    return files - max(MIN_RESERVED_FILES, files // 20)


def _shards(subscriptions: Subscriptions) -> dict[str, dict[str, object]]:
    """By shard that is read: whether its feed is live, how late its newest batch was, how long ago anything came."""
    now = time.monotonic()
    return {
        str(shard): {"live": feed.live, "lag_seconds": feed.lag, "silent_seconds": max(0.0, now - feed.heard_at)}
        for shard, feed in sorted(dict(subscriptions.feeds).items())
    }


async def _look_at(lives: Lives) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        lives.look()


class GatewayService:
    """The public port: parked connections, and everything else handed over."""

    name = "gateway"

    def __init__(
        self,
        settings: GatewaySettings,
        log: ChangeLog,
        runtime: Runtime,
        keeper: Gatekeeper,
        fallback: ASGIApp | None,
        listener: socket.socket | None,
    ) -> None:
        self.host = settings.host
        self.port = settings.port
        self._listener = listener
        self._log = log
        self._settings = settings
        self._room = room_for(raise_file_limit())
        self._keeper = keeper
        self._health = runtime.health
        self._memory = runtime.memory
        self._published = runtime.published
        self._book = runtime.requests
        self._talkers = Talkers(time.monotonic)
        self._looking: asyncio.Task[None] | None = None
        self._metrics = GatewayMetrics(runtime.registry)
        self._accounts = AccountPage(runtime.health)
        runtime.pages.append(self._accounts.route)
        app = create_app(keeper, settings.public_url, settings.max_message_bytes, fallback)
        requests = self._book.family("requests, gateway", "handed over: from the head to the head of the answer")
        self._hand_over = HandOver(Followed(app, app.routes, requests))
        self._parts: tuple[Reactor, Subscriptions] | None = None
        runtime.connections.append(self._connections)
        self._readiness: asyncio.Task[None] | None = None
        runtime.health.set_ready("log", False, "not connected yet")

    async def start(self) -> None:
        """Listen, and be ready once the log has been reached."""
        listener = self._listener or listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        reactor = Reactor(listener)
        pump = Pump(reactor)
        journal = Journal(time.monotonic, self._metrics)
        hub = Hub(
            shards=self._log.shards,
            interval=self._settings.coalesce_ms / 1000,
            budget=WAKE_SECONDS,
            sink=pump,
            observer=journal,
            clock=time.monotonic,
            unknown_state=unknown_state,
        )
        feed_counters = FeedCounters()
        lives = Lives(
            self._book.family("connections", "from the accept to the first cursor; with the first push and the close"),
            Sampler(),
            time.monotonic,
            REFRESH_SECONDS,
        )
        deliveries = Deliveries(
            self._book.family("batches, gateway", "from the ingest to the acknowledgement of a client's kernel"),
            hub,
            reactor,
            self._talkers,
            self._metrics.delivered,
        )
        subscriptions = Subscriptions(
            self._log, hub, lambda shard: feed(shard), unknown_state, self._settings.resync_rate, journal.resumed
        )

        def feed(shard: int) -> Feed:
            return Feed(self._log, shard, subscriptions, feed_counters, deliveries)

        closing = Closing(reactor)
        limits = self._settings
        caps = Caps(
            limits.max_connections or self._room,
            limits.max_connections_per_account,
            limits.max_connections_per_address,
            limits.max_upgrades_per_second,
        )
        admission = Admission(caps, time.monotonic, lambda most: random.randint(1, most))  # noqa: S311 - spreads
        lot = Lot(reactor, hub, subscriptions, closing, admission, journal, lives, limits.head_seconds)
        self._accounts.attach(lot, self._log)
        routes: dict[str, Route] = {
            WEBSOCKET_PATH: ParkedWebSocket(
                lot, limits.max_message_bytes, limits.max_messages_per_second, limits.ping_seconds
            ),
            EVENTSOURCE_PATH: EventSourceRoute(lot),
            POLL_PATH: PollRoute(lot),
        }

        def hand_over(connection: Connection, received: bytes) -> None:
            self._hand_over.take(reactor.release(connection), received)

        front = Front(reactor, self._keeper, routes, closing, admission, limits, hand_over, lives)
        self._metrics.watch(lot, front, feed_counters, self._hand_over)
        self._memory.sockets = reactor.__len__
        self._published["shards"] = lambda: _shards(subscriptions)
        self._published["talkers"] = lambda: [
            {"account": account, "share": round(share, 4)} for account, share in self._talkers.shares(MOST_TALKERS)
        ]
        pump.start(hub)
        reactor.start(front, hub.blocked)
        self._parts = (reactor, subscriptions)
        self._readiness = asyncio.create_task(self._become_ready())
        self._looking = asyncio.create_task(_look_at(lives))
        _log.info("listening", service=self.name, host=self.host, port=self.port)

    def _connections(self) -> Iterable[tuple[str, ...]]:
        return () if self._parts is None else census(self._parts[0], self._hand_over)

    async def _become_ready(self) -> None:
        """Ready from the first connection to the log on: a later outage is no reason to send clients away."""
        while not (self._log.can_read and self._log.can_append):
            await asyncio.sleep(READY_POLL_SECONDS)
        self._health.set_ready("log", True)

    async def stop(self) -> None:
        """Be not ready, go on until nobody is sent here any more, send everybody elsewhere at a pace, then close."""
        self._health.set_ready("gateway", False, "draining")
        for task in (self._readiness, self._looking):
            if task is not None:
                task.cancel()
        if self._parts is None:
            return
        reactor, subscriptions = self._parts
        await asyncio.sleep(self._settings.drain_delay_seconds)
        # Refused rather than served: a balancer that is late tries the next gateway, and nobody who was just sent
        # away comes back here.
        reactor.stop_accepting()
        await self._drain(reactor)
        deadline = time.monotonic() + GOODBYE_SECONDS
        while len(reactor) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await subscriptions.stop()
        await self._hand_over.stop(HAND_OVER_SECONDS)
        reactor.stop()
        self._parts = None

    async def _drain(self, reactor: Reactor) -> None:
        """Close everybody's connection (close code 1012), in random order."""
        waiting = list(reactor.connections())
        random.shuffle(waiting)
        started = time.monotonic()
        goodbyes = Goodbyes(len(waiting), self._settings.drain_seconds, started)
        _log.info("draining", connections=len(waiting), seconds=round(goodbyes.seconds, 1))
        while waiting and len(reactor):
            for _ in range(goodbyes.due(time.monotonic())):
                _send_elsewhere(waiting.pop())
            await asyncio.sleep(STEP_SECONDS)
        # Those whose request came late.
        for connection in reactor.connections():
            _send_elsewhere(connection)
        _log.info("drained", seconds=round(time.monotonic() - started, 1))


def _send_elsewhere(connection: Connection) -> None:
    if isinstance(connection.handler, Parked):
        connection.handler.send_elsewhere(connection, "shutdown")
