"""What every connection begins with: a head, read under a deadline, and a decision where it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tidings.errors import RequestRejected
from tidings.gateway import http1, jmap, websocket
from tidings.gateway.closing import Closing
from tidings.gateway.connection import Connection
from tidings.gateway.http1 import Request
from tidings.gateway.parked import ParkedWebSocket
from tidings.gateway.reactor import Reactor
from tidings.ops.auth import Gatekeeper

HEAD_SECONDS: Final = 10.0
WEBSOCKET_PATH: Final = "/jmap/ws"


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
        parked: ParkedWebSocket,
        closing: Closing,
        hand_over: Callable[[Connection, bytes], None],
    ) -> None:
        self.counters = FrontCounters()
        self._reactor = reactor
        self._gatekeeper = gatekeeper
        self._parked = parked
        self._closing = closing
        self._hand_over = hand_over
        self._heads: dict[Connection, bytearray] = {}

    def received(self, connection: Connection, data: memoryview) -> None:
        """Gather the head; once it is whole, decide."""
        head = self._heads.pop(connection, None)
        gathered: bytes | bytearray = bytes(data)
        if head is not None:
            head += data
            gathered = head
        try:
            request = http1.parse_request(gathered)
            if request is None:
                self._heads[connection] = head if head is not None else bytearray(data)
            elif request.path == WEBSOCKET_PATH:
                self._upgrade(connection, request, memoryview(gathered)[request.size :])
            else:
                self.counters.handed_over += 1
                self._hand_over(connection, bytes(gathered))
        except RequestRejected as error:
            self._reject(connection, error)

    def _upgrade(self, connection: Connection, request: Request, rest: memoryview) -> None:
        websocket.check_upgrade(request)
        now = time.time()
        identity = self._gatekeeper.admit(request.method, request.headers, request.query, upgrade=True, now=now)
        response = websocket.handshake(request, jmap.SUBPROTOCOL)
        accounts = identity.accounts
        connection.accounts = accounts[0] if len(accounts) == 1 else accounts
        if identity.expires is not None:
            connection.expires = time.monotonic() + identity.expires - now
        self._parked.park(connection, response, rest)

    def _reject(self, connection: Connection, error: RequestRejected) -> None:
        self.counters.rejected[error.reason] = self.counters.rejected.get(error.reason, 0) + 1
        self._closing.finish(connection, http1.rejection(error))

    def timed(self, connection: Connection, now: float) -> float | None:
        """Close a connection whose head does not come."""
        if not connection.pinged:
            connection.pinged = now
        due = connection.pinged + HEAD_SECONDS
        if now < due:
            return due
        self.counters.head_deadlines += 1
        self._reactor.close(connection, "head_deadline")
        return None

    def unblocked(self, connection: Connection) -> None:
        """Nothing is written before the decision."""

    def closed(self, connection: Connection, reason: str) -> None:
        """Forget what was gathered."""
        self._heads.pop(connection, None)
