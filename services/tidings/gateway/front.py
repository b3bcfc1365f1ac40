"""What every connection begins with: a head, read under a deadline, and a decision where it goes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tidings.errors import RequestRejected
from tidings.gateway import cors, http1
from tidings.gateway.address import client_address
from tidings.gateway.admission import Admission
from tidings.gateway.checking import Checking
from tidings.gateway.closing import Closing
from tidings.gateway.connection import Connection
from tidings.gateway.drain import end_of
from tidings.gateway.http1 import Request
from tidings.gateway.lives import Lives
from tidings.gateway.reactor import Reactor
from tidings.gateway.settings import LimitSettings
from tidings.ops.auth import FOREIGN, Gatekeeper, Identity


class Route(Protocol):
    """Parks the connections whose requests are for one path."""

    @property
    def upgrades(self) -> bool:
        """Whether the rules for upgrades decide who is admitted, rather than those for a GET."""

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no request for this, whoever asks."""

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Answer and park a connection that was admitted; `rest` came behind its head. Raises RequestRejected."""


@dataclass(slots=True)
class FrontCounters:
    """Plain ints, read by the metrics collector."""

    handed_over: int = 0
    head_deadlines: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class Front:
    """The handler of new connections."""

    def __init__(
        self,
        reactor: Reactor,
        gatekeeper: Gatekeeper,
        routes: Mapping[str, Route],
        closing: Closing,
        admission: Admission,
        limits: LimitSettings,
        hand_over: Callable[[Connection, bytes], None],
        lives: Lives,
    ) -> None:
        self.counters = FrontCounters()
        self.checking = Checking(lives.closed)
        self._reactor = reactor
        self._gatekeeper = gatekeeper
        self._routes = routes
        self._closing = closing
        self._admission = admission
        self._limits = limits
        self._hand_over = hand_over
        self._lives = lives
        self._heads: dict[Connection, bytearray] = {}

    def received(self, connection: Connection, data: memoryview) -> None:
        """Gather the head; once it is whole, decide."""
        head = self._heads.pop(connection, None)
        gathered: bytes | bytearray = bytes(data)
        if head is not None:
            head += data
            gathered = head
        try:
            request = http1.parse_request(gathered, self._limits.max_head_bytes)
        except RequestRejected as error:
            self._reject(connection, error)
            return
        if request is None:
            self._heads[connection] = head if head is not None else bytearray(data)
            return
        self._lives.reached(connection, "head")
        route = self._routes.get(request.path)
        if route is None:
            self.counters.handed_over += 1
            self._lives.handed_over(connection)
            self._hand_over(connection, bytes(gathered))
            return
        self._lives.routed(connection, request.path)
        try:
            if request.method == "OPTIONS":
                self._answer_preflight(connection, request)
            else:
                self._begin(connection, request, route, memoryview(gathered)[request.size :])
        except RequestRejected as error:
            self._reject(connection, error, request)

    def _begin(self, connection: Connection, request: Request, route: Route, rest: memoryview) -> None:
        route.check(request)
        admitted = self._gatekeeper.admit(request.method, request.headers, request.query, upgrade=route.upgrades)
        if isinstance(admitted, Identity):
            self._park(connection, request, route, rest, admitted)
            return

        def decide(outcome: Identity | RequestRejected, rest: memoryview) -> None:
            if isinstance(outcome, RequestRejected):
                self._reject(connection, outcome, request)
                return
            try:
                self._park(connection, request, route, rest, outcome)
            except RequestRejected as error:
                self._reject(connection, error, request)

        self.checking.begin(connection, rest, admitted, decide)

    def _park(
        self, connection: Connection, request: Request, route: Route, rest: memoryview, identity: Identity
    ) -> None:
        connection.set_accounts(identity.accounts)
        started = time.monotonic()
        token_ends = None if identity.expires is None else started + identity.expires - time.time()
        age_draw = random.random()  # noqa: S311 - spreads the reconnects
        connection.expires = end_of(token_ends, started, self._limits.max_connection_age, age_draw)
        self._admission.admit(connection, self._address(connection, request))
        self._lives.reached(connection, "authenticated")
        try:
            route.open(connection, request, rest)
        except RequestRejected:
            self._admission.release(connection)
            raise

    def _address(self, connection: Connection, request: Request) -> str:
        if not self._admission.wants_address:
            return ""
        forwarded_for = request.headers.get("x-forwarded-for", "")
        return client_address(self._reactor.peer(connection), forwarded_for, self._limits.trusted_proxy)

    def _answer_preflight(self, connection: Connection, request: Request) -> None:
        self._gatekeeper.admit_origin("GET", request.headers)
        self._lives.closed(connection, "told")
        self._closing.finish(connection, http1.response(204, fields=cors.preflight_fields(request.headers)))

    def _reject(self, connection: Connection, error: RequestRejected, request: Request | None = None) -> None:
        fields: Mapping[str, str] = {}
        # A page of a foreign origin learns nothing, not even why.
        if request is not None and error.reason not in FOREIGN:
            fields = cors.response_fields(request.headers)
        # Where it has come so far, the path is one of our own: what else was asked for is nobody's to keep.
        path = "connection" if request is None else request.path
        self._lives.rejected(connection, path, error.code, error.reason)
        self.counters.rejected[error.reason] = self.counters.rejected.get(error.reason, 0) + 1
        self._closing.finish(connection, http1.rejection(error, fields))

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close a connection whose head does not come."""
        if not connection.pinged:
            connection.pinged = now
            self._lives.accepted(connection, now)
        due = connection.pinged + self._limits.head_seconds
        if now < due:
            return due
        if self._reactor.has_unread(connection):
            # We are late, not the client. What it may send is bounded, so this ends.
            return now
        self.counters.head_deadlines += 1
        self._reactor.close(connection, "head_deadline")
        return None

    def unblocked(self, connection: Connection) -> None:
        """Nothing is written before the decision."""

    def closed(self, connection: Connection, reason: str) -> None:
        """Forget what was gathered."""
        self._lives.closed(connection, reason)
        self._heads.pop(connection, None)
