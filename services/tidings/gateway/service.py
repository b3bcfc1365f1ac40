"""The gateway's composition root."""

from __future__ import annotations

import asyncio
import functools
import random
import resource
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp

from asyncio_pprof.traces import Followed, Sampler
from tidings.auth.access import ClientAccess, client_access
from tidings.auth.gatekeeper import Authenticator, Gatekeeper
from tidings.auth.push_tokens import PushTokens
from tidings.auth.verifying import PushTokenAuthentication
from tidings.bus.log import ChangeLog
from tidings.gateway.codecs.groups import Groups
from tidings.gateway.codecs.jmap import EVENTSOURCE_PATH, WEBSOCKET_PATH
from tidings.gateway.drain import drain
from tidings.gateway.driver import Driver, tell_outages
from tidings.gateway.entrance.arrivals import Arrivals
from tidings.gateway.entrance.cross_origin import CrossOrigin
from tidings.gateway.entrance.front import VISIT_SECONDS, Front, Route
from tidings.gateway.entrance.handover import HandOver
from tidings.gateway.entrance.session import Sessions, create_app, own_sessions
from tidings.gateway.feeds import pool
from tidings.gateway.feeds.feed import Feed, FeedCounters
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.rounds import Rounds
from tidings.gateway.feeds.skew import SkewWatch
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.formats.endpoint import MAX_UNFINISHED_BYTES
from tidings.gateway.formats.eventsource import EventSourceRoute
from tidings.gateway.formats.parked import REFRESH_SECONDS, Lot
from tidings.gateway.formats.poll import POLL_PATH, PollRoute
from tidings.gateway.formats.websocket import ParkedWebSocket
from tidings.gateway.hub.hub import Hub
from tidings.gateway.limits.admission import Admission, Caps
from tidings.gateway.limits.lobby import Lobby, lobby_bytes
from tidings.gateway.limits.shedding import Shedding
from tidings.gateway.limits.talk import Talk
from tidings.gateway.limits.unsent import MAX_REPLIES_BYTES, MAX_UNSENT_BYTES
from tidings.gateway.model.witness import Witness
from tidings.gateway.net.closing import Closing
from tidings.gateway.net.listener import listen
from tidings.gateway.net.reactor import WAKE_SECONDS, Reactor
from tidings.gateway.net.sockets import Socket
from tidings.gateway.settings import GatewaySettings
from tidings.gateway.subscriptions import Subscriptions
from tidings.gateway.watching.account_page import ACCOUNT_PATH, ACCOUNTS_PATH, AccountPage, search_response
from tidings.gateway.watching.batch_traces import BatchTraces
from tidings.gateway.watching.census import census
from tidings.gateway.watching.connection_traces import LOOK_SECONDS, ConnectionTraces
from tidings.gateway.watching.dashboard import published
from tidings.gateway.watching.disconnect import DISCONNECT_PATH, Disconnect
from tidings.gateway.watching.journal import Journal
from tidings.gateway.watching.main_loop import MainLoop
from tidings.gateway.watching.metrics import GatewayMetrics
from tidings.gateway.watching.talkers import Talkers
from tidings.gateway.watching.witnesses import Witnesses
from tidings.ops.http.serving import port_of, tell_listening
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service
from tidings.ops.tracing.spans import Tracer
from tidings.ops.troubles import of_log

if TYPE_CHECKING:
    from tidings.gateway.formats.proxying import Proxying
    from tidings.gateway.upstream.server import Upstream
    from tidings.gateway.watching.change_traces import ChangeTraces
    from tidings.ops.process.workers.peers import Joined

READY_POLL_SECONDS: Final = 0.2
WINDOWS_SHARE: Final = 0.5
"""The part of all that others may make this process hold which windows may take: what they give up costs least."""
GOODBYE_SECONDS: Final = 1.0
"""How long clients have on shutdown to answer their close frame."""
HAND_OVER_SECONDS: Final = 5.0
MIN_RESERVED_FILES: Final = 64
RESUMES_SHARE: Final = 0.5
"""Of all the bytes that may be held, those of subscriptions, of resumes and of what waits for clients."""
REQUESTS_SHARE: Final = 0.25
"""Of what others may make the process hold, the part of requests that are not parked."""
HEADS_SHARE: Final = 1 / 8
MESSAGES_SHARE: Final = 1 / 8
REPLIES_SHARE: Final = 1 / 4
UPSTREAM_SHARE: Final = 1 / 8
"""Of the bytes that the process may hold for others."""


def compose(
    settings: GatewaySettings,
    log: ChangeLog,
    runtime: Runtime,
    fallback: ASGIApp | None = None,
    listener: Socket | None = None,
    access: ClientAccess | None = None,
    tracer: Tracer | None = None,
) -> list[Service]:
    """The gateway as services to run; `fallback` serves every path of the public port that is not the gateway's.

    `listener` is what to accept from, in place of a socket of its own; `access` are the rules for clients, where
    somebody else goes by them too. A `tracer`, which has to be started before, is told of sampled changes.

    Raises SettingsError when the settings contradict each other.
    """
    access = access or client_access(settings, settings.host, runtime.registry, runtime.health, runtime.pool)
    return [*access.services, GatewayService(settings, log, runtime, access.gatekeeper, fallback, listener, tracer)]


def joined_pages() -> Joined:
    """What the admin process answers for all workers."""
    from tidings.gateway.watching.account_join import Accounts, Disconnects

    # Every worker would answer alike with the search.
    return {ACCOUNTS_PATH: lambda _: search_response(), ACCOUNT_PATH: Accounts, DISCONNECT_PATH: Disconnects}


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


async def _look_at(traces: ConnectionTraces) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        traces.look()


@dataclass(frozen=True)
class _PushingFor:
    """A JMAP server that vouches for clients, and the tokens in the push URLs of its sessions."""

    upstream: Upstream
    tokens: PushTokens

    def authenticator(self, other: Authenticator) -> Authenticator:
        return PushTokenAuthentication(self.tokens, other)


def _pushing_for(settings: GatewaySettings, runtime: Runtime) -> _PushingFor | None:
    if not settings.jmap_upstream or settings.jwt_secret is None:
        return None
    from tidings.gateway.upstream.server import MAX_HELD_BYTES, Upstream

    held = runtime.budget.account("upstream", UPSTREAM_SHARE, MAX_HELD_BYTES)
    return _PushingFor(Upstream(settings.jmap_upstream, held), PushTokens(settings.jwt_secret.get_secret_value()))


@dataclass(frozen=True)
class _Parts:
    """What there is once there is a loop."""

    lot: Lot
    driver: Driver
    subscriptions: Subscriptions
    feed_counters: FeedCounters
    skew: SkewWatch
    websockets: ParkedWebSocket
    arrivals: Arrivals
    front: Front
    journal: Journal
    traces: ConnectionTraces


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
        listener: Socket | None,
        tracer: Tracer | None,
    ) -> None:
        self._tracer = tracer
        self.host = settings.host
        self.port = settings.port
        self._listener = listener
        self._log = log
        self._settings = settings
        self._room = room_for(raise_file_limit())
        self._keeper = keeper
        self._runtime = runtime
        self._held = runtime.budget.account("resumes", RESUMES_SHARE)
        self._talkers = Talkers(time.monotonic)
        self._metrics = GatewayMetrics(runtime.registry)
        self._windows = Windows(runtime.budget.account("windows", WINDOWS_SHARE, settings.window_bytes))
        runtime.pressure.relief.append(self._windows.make_room)
        self._clock = LogClock()
        self._metrics.watch_feeds(self._windows, self._clock, self._feeds)
        self._main = MainLoop(runtime.health)
        self._accounts, self._disconnect = AccountPage(self._main, self._talkers), Disconnect(self._main)
        runtime.pages.extend((*self._accounts.routes(), self._disconnect.route))
        self._pushing_for = _pushing_for(settings, runtime)
        if self._pushing_for is not None:
            self._keeper = keeper = keeper.taking(self._pushing_for.authenticator)
            self._metrics.watch_upstream(self._pushing_for.upstream)
        app = create_app(keeper, self._sessions(keeper), settings.trusted_proxy, fallback)
        requests = runtime.requests.family(
            "requests, gateway", "other than push connections, from request head to response head"
        )
        self._hand_over = HandOver(
            Followed(CrossOrigin(app, keeper), app.routes, requests),
            runtime.budget.account("requests", REQUESTS_SHARE),
        )
        self._parts: _Parts | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        runtime.connections.append(self._connections)
        runtime.health.set_ready("log", False, "not connected yet")
        runtime.health.watch(lambda: of_log(log.down, log.alarm))

    def _sessions(self, keeper: Gatekeeper) -> Sessions:
        settings, server = self._settings, self._pushing_for
        groups = Groups(settings.groups, self._log.shards, settings.group_url)
        if server is None:
            return own_sessions(keeper, settings.public_url, groups, settings.max_message_bytes)
        from tidings.gateway.codecs.jmap_session import Proxied
        from tidings.gateway.entrance.upstream_session import upstream_sessions

        proxied = Proxied(settings.max_message_bytes) if settings.jmap_proxy_requests else None
        return upstream_sessions(
            keeper, server.upstream, server.tokens, settings.public_url, groups, settings.trusted_proxy, proxied
        )

    async def start(self) -> None:
        """Listen, and be ready once the log has been reached."""
        listener = self._listener or listen(self.host, self.port)
        self.port = port_of(listener)
        if self._pushing_for is not None:
            await self._pushing_for.upstream.start()
        self._parts = self._build(listener)
        self._connect(self._parts)
        self._listen(self._parts)
        tell_listening(self.name, self.host, self.port)

    def _build(self, listener: Socket) -> _Parts:
        """Make the parts, each from those that it works with."""
        settings, budget = self._settings, self._runtime.budget
        journal = Journal(time.monotonic)
        traces = ConnectionTraces(
            self._runtime.requests.family(
                "connections", "from the accept to the first cursor, with the first push and the close"
            ),
            Sampler(),
            time.monotonic,
            REFRESH_SECONDS,
        )
        witness = Witnesses(self._metrics, journal, traces)
        reactor = Reactor(listener, MAX_UNSENT_BYTES, budget.account("replies", REPLIES_SHARE, MAX_REPLIES_BYTES))
        driver = Driver(reactor)
        hub = Hub(
            shards=self._log.shards,
            interval=settings.coalesce_ms / 1000,
            budget=WAKE_SECONDS,
            sink=driver,
            witness=witness,
            clock=time.monotonic,
            unknown_state=unknown_state,
            waiting=self._held,
        )
        feed_counters = FeedCounters()
        subscriptions = self._subscriptions(hub, reactor, feed_counters, witness)
        caps = Caps(
            settings.max_connections or self._room,
            settings.max_connections_per_account,
            settings.max_connections_per_address,
            settings.max_upgrades_per_second,
        )
        admission = Admission(caps, time.monotonic, functools.partial(random.randint, 1), budget)
        lobby = Lobby(budget.account("heads", HEADS_SHARE, lobby_bytes(caps.connections)))
        talk = Talk(settings.max_messages_per_second, settings.max_message_bytes)
        closing = Closing(reactor, lobby, talk)
        first_visit = min(settings.head_seconds, VISIT_SECONDS)
        lot = Lot(reactor, hub, subscriptions, closing, lobby, admission, witness, first_visit, talk)
        unfinished = budget.account("messages", MESSAGES_SHARE, MAX_UNFINISHED_BYTES)
        websockets = ParkedWebSocket(
            lot, settings.max_message_bytes, settings.ping_seconds, unfinished, self._proxying(reactor)
        )
        routes: dict[str, Route] = {
            WEBSOCKET_PATH: websockets,
            EVENTSOURCE_PATH: EventSourceRoute(lot),
            POLL_PATH: PollRoute(lot),
        }
        arrivals = Arrivals(reactor, lobby, admission, settings.trusted_proxy)
        front = Front(reactor, self._keeper, routes, closing, admission, arrivals, settings, self._hand_over, witness)
        skew = SkewWatch(self._log, subscriptions.feeds, self._clock)
        return _Parts(lot, driver, subscriptions, feed_counters, skew, websockets, arrivals, front, journal, traces)

    def _proxying(self, reactor: Reactor) -> Proxying | None:
        server = self._pushing_for
        if server is None or not self._settings.jmap_proxy_requests:
            return None
        from tidings.gateway.formats.proxying import Proxying

        return Proxying(server.upstream, server.tokens, reactor, self._settings.trusted_proxy)

    def _subscriptions(self, hub: Hub, reactor: Reactor, counters: FeedCounters, witness: Witness) -> Subscriptions:
        """Make what clients ask, and the feeds that it needs, which tell it and the traces of batches."""
        traces = BatchTraces(
            self._runtime.requests.family("batches, gateway", "from the ingest to the TCP acknowledgement of a client"),
            hub,
            reactor,
            self._talkers,
            self._metrics.delivered,
            self._clock,
            self._change_traces(hub),
        )
        rounds = Rounds()

        def feed(shard: int) -> Feed:
            return Feed(self._log, shard, subscriptions, counters, traces, self._windows, self._clock, rounds)

        subscriptions = Subscriptions(
            self._log, hub, feed, unknown_state, self._settings.resync_rate, witness.resumed, self._held
        )
        return subscriptions

    def _change_traces(self, hub: Hub) -> ChangeTraces | None:
        if self._tracer is None:
            return None
        from tidings.gateway.watching.change_traces import ChangeTraces

        return ChangeTraces(self._tracer, hub, self._metrics, self._clock)

    def _connect(self, parts: _Parts) -> None:
        """Give parts what they need of those made later, and those who watch what they look at."""
        lot, subscriptions = parts.lot, parts.subscriptions
        reactor, runtime = lot.reactor, self._runtime
        parts.driver.start(lot.hub)
        reactor.each_turn(lot.talk.turn)
        holdings = (reactor.holdings, lot.lobby.holdings, parts.websockets.holdings, subscriptions.resumes.holdings)
        runtime.pressure.relief.append(Shedding(holdings, lambda dear: reactor.close(dear, "memory")).give_up)
        runtime.memory.sockets = reactor.__len__
        runtime.published.update(published(subscriptions, self._talkers))
        self._metrics.watch(lot, subscriptions, parts.front, parts.arrivals, parts.feed_counters, self._hand_over)
        self._main.attach()
        self._accounts.attach(lot, subscriptions.feeds, parts.journal, self._log, self._clock)
        self._disconnect.attach(lot)

    def _listen(self, parts: _Parts) -> None:
        """Accept connections, and begin what goes on beside them."""
        reactor = parts.lot.reactor
        reactor.start(parts.front, parts.lot.hub.blocked, parts.arrivals)
        parts.skew.start()
        self._tasks = (
            asyncio.create_task(self._become_ready()),
            asyncio.create_task(_look_at(parts.traces)),
            asyncio.create_task(tell_outages(parts.subscriptions.outages, reactor)),
        )

    def _feeds(self) -> Mapping[int, pool.Feed]:
        parts = self._parts
        return {} if parts is None else parts.subscriptions.feeds

    def _connections(self) -> Iterable[tuple[str, ...]]:
        return () if self._parts is None else census(self._parts.lot.reactor, self._hand_over)

    async def _become_ready(self) -> None:
        """Ready from the first connection to the log on: a later outage is no reason to send clients away."""
        while not (self._log.can_read and self._log.can_append):
            await asyncio.sleep(READY_POLL_SECONDS)
        self._runtime.health.set_ready("log", True)

    async def stop(self) -> None:
        """Be not ready, go on until nobody is sent here any more, send everybody elsewhere at a pace, then close."""
        self._runtime.health.set_ready("gateway", False, "draining")
        for task in self._tasks:
            task.cancel()
        if self._parts is None:
            return
        parts, reactor = self._parts, self._parts.lot.reactor
        await asyncio.sleep(self._settings.drain_delay_seconds)
        # Refused rather than served: a balancer that is late tries the next gateway, and nobody who was just sent
        # away comes back here.
        reactor.stop_accepting()
        await drain(reactor, self._settings.drain_seconds)
        deadline = time.monotonic() + GOODBYE_SECONDS
        while len(reactor) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await parts.skew.stop()
        await parts.subscriptions.stop()
        await self._hand_over.stop(HAND_OVER_SECONDS)
        reactor.stop()
        if self._pushing_for is not None:
            await self._pushing_for.upstream.stop()
        self._parts = None
