"""What every connection begins with: a head, read under a deadline, and a decision where it goes."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tidings.auth.gatekeeper import Gatekeeper
from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.gateway.codecs import cors, http1
from tidings.gateway.codecs.groups import ungrouped
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.entrance.arrivals import Arrivals
from tidings.gateway.entrance.checking import Checking
from tidings.gateway.entrance.handover import HandOver
from tidings.gateway.limits.address import Network, client_address
from tidings.gateway.limits.admission import Admission
from tidings.gateway.model.connection import NEVER, Connection, Handler, end_of
from tidings.gateway.model.witness import Witness
from tidings.gateway.net.closing import Closing
from tidings.gateway.net.reactor import Reactor
from tidings.ops.http.dates import http_date

OTHER: Final = "another path"
"""What paths that are not our own are called where they are noted."""


class Limits(Protocol):
    """What a client may take until it is parked, and for how long it may be."""

    @property
    def max_head_bytes(self) -> int:
        """The size of a request's head."""

    @property
    def head_seconds(self) -> float:
        """How long a client has to send it."""

    @property
    def max_connection_age(self) -> float:
        """Seconds after which a parked connection ends, less up to a fifth; 0: never."""

    @property
    def trusted_proxy(self) -> Sequence[Network]:
        """The networks of proxies that are believed whom a request is from."""


class Route(Protocol):
    """Parks the connections whose requests are for one path."""

    @property
    def upgrades(self) -> bool:
        """Whether the rules for upgrades decide who is admitted, rather than those for a GET."""

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no request for this, whoever asks."""

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Answer and park a connection that was admitted; `rest` came behind its head. Raises RequestRejected."""


RETRY_SECONDS: Final = 5
VISIT_SECONDS: Final = 10.0
"""At most between two visits until a connection is parked, however long a head may take.

The visit that is planned when it is parked is the first that its pings and its writes have.
"""


@dataclass(slots=True)
class FrontCounters:
    """Plain ints, read by the metrics collector."""

    handed_over: int = 0
    head_deadlines: int = 0
    unreadable_addresses: int = 0


class Front(Handler):
    """The handler of new connections. `moment` is when their time for a head began."""

    def __init__(
        self,
        reactor: Reactor,
        gatekeeper: Gatekeeper,
        routes: Mapping[str, Route],
        closing: Closing,
        admission: Admission,
        arrivals: Arrivals,
        limits: Limits,
        hand_over: HandOver,
        witness: Witness,
    ) -> None:
        self.counters = FrontCounters()
        self.checking = Checking(self._gone, arrivals.keeps)
        self._reactor = reactor
        self._gatekeeper = gatekeeper
        self._routes = routes
        self._closing = closing
        self._admission = admission
        self._arrivals = arrivals
        self._limits = limits
        self._hand_over = hand_over
        self._witness = witness
        self._heads: dict[Connection, bytearray] = {}

    def received(self, connection: Connection, data: memoryview) -> None:
        """Gather the head; once it is whole, decide."""
        head = self._heads.pop(connection, None)
        gathered: bytes | bytearray = bytes(data)
        if head is not None:
            head += data
            gathered = head
        try:
            request = http1.parse_request(gathered, self._limits.max_head_bytes, len(gathered) - len(data))
            if request is None:
                self._keep(connection, head if head is not None else bytearray(gathered), len(data))
                return
        except RequestRejected as error:
            self._reject(connection, error, bodyless=http1.is_bodyless(gathered))
            return
        self._witness.reached(connection, "head")
        path = ungrouped(request.path)
        route = self._routes.get(path)
        try:
            if route is None:
                self._take_elsewhere(connection, bytes(gathered))
                return
            self._witness.routed(connection, path)
            if request.method == "OPTIONS":
                self._answer_preflight(connection, request)
            else:
                self._begin(connection, request, route, memoryview(gathered)[request.size :])
        except RequestRejected as error:
            self._reject(connection, error, request)

    def _take_elsewhere(self, connection: Connection, received: bytes) -> None:
        """Have the HTTP application answer. Raises RequestRejected (503) where there is no room for that."""
        self._admission.check_memory()
        self._hand_over.check_room()
        ended = self._arrivals.handed_over(connection)
        self._hand_over.take(self._reactor.release(connection), received, ended)
        self.counters.handed_over += 1
        self._witness.handed_over(connection)

    def _keep(self, connection: Connection, head: bytearray, more: int) -> None:
        """Keep what there is of a head, of which the last `more` bytes are new. Raises RequestRejected (503)."""
        # It may be sent away for this, and is then forgotten as all others are.
        self._heads[connection] = head
        if not self._arrivals.keeps(connection, more):
            self._heads.pop(connection, None)
            raise RequestRejected(503, "full", "this gateway has no room for more requests", RETRY_SECONDS)

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
            self._reactor.tell_half_closed(connection)

        self.checking.begin(connection, request.size, rest, admitted, decide)

    def _park(
        self, connection: Connection, request: Request, route: Route, rest: memoryview, identity: Identity
    ) -> None:
        connection.set_accounts(identity.accounts)
        started = time.monotonic()
        token_ends = None if identity.expires is None else started + identity.expires - time.time()
        age_draw = random.random()  # noqa: S311 - spreads the reconnects
        connection.expires = end_of(token_ends, started, self._limits.max_connection_age, age_draw)
        self._admission.admit(connection, self._address(connection, request))
        self._witness.reached(connection, "authenticated")
        try:
            route.open(connection, request, rest)
        except RequestRejected:
            self._admission.release(connection)
            raise

    def _address(self, connection: Connection, request: Request) -> str:
        if not self._admission.wants_address:
            return ""
        client = client_address(self._reactor.peer(connection), request.headers, self._limits.trusted_proxy)
        if not client.readable:
            self.counters.unreadable_addresses += 1
        return client.address

    def _answer_preflight(self, connection: Connection, request: Request) -> None:
        self._gatekeeper.admit_origin("GET", request.headers)
        self._witness.closed(connection, "told")
        self._closing.finish(
            connection, http1.response(204, fields=cors.preflight_fields(request.headers), date=http_date())
        )

    def _reject(
        self,
        connection: Connection,
        error: RequestRejected,
        request: Request | None = None,
        *,
        bodyless: bool = False,
    ) -> None:
        fields: Mapping[str, str] = {}
        path = "connection"
        if request is not None:
            # A page of a foreign origin learns nothing, not even why.
            if self._gatekeeper.may_read(request.headers):
                fields = cors.response_fields(request.headers)
            # What is asked for beside our own paths is nobody's to keep.
            path = ungrouped(request.path)
            path = path if path in self._routes else OTHER
            bodyless = request.method == "HEAD"
        self._witness.rejected(connection, path, error.code, error.reason)
        self._gatekeeper.refusals.refused(error.reason)
        answer = http1.rejection(error, fields, date=http_date(), bodyless=bodyless)
        self._closing.finish(connection, answer)

    def half_closed(self, connection: Connection) -> None:
        """Half a head is no request."""
        self._reactor.close(connection, "eof")

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close a connection whose head does not come."""
        if connection.moment == NEVER:
            connection.moment = now
            self._witness.accepted(connection, now)
        due = connection.moment + self._limits.head_seconds
        if now < due:
            return min(due, now + VISIT_SECONDS)
        if self._reactor.has_unread(connection):
            # We are late, not the client. What it may send is bounded, so this ends.
            return now
        self.counters.head_deadlines += 1
        self._reactor.close(connection, "head_deadline")
        return None

    def closed(self, connection: Connection, reason: str) -> None:
        self._heads.pop(connection, None)
        self._gone(connection, reason)

    def _gone(self, connection: Connection, reason: str) -> None:
        self._arrivals.leave(connection)
        self._witness.closed(connection, reason)
