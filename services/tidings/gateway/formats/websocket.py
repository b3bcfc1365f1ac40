"""A parked WebSocket: frames in, JMAP out, pings and deadlines."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from tidings.errors import ConnectionFailed
from tidings.gateway.codecs import jmap, websocket
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.codecs.websocket import CloseCode, Message, Opcode
from tidings.gateway.formats.endpoint import Endpoint
from tidings.gateway.formats.parked import REFRESH_SECONDS, Lot, Parked
from tidings.gateway.model.connection import Connection, Leave
from tidings.gateway.net.reactor import TURN_SECONDS
from tidings.ops.budget import Account
from tidings.ops.http.dates import http_date

if TYPE_CHECKING:
    from tidings.gateway.formats.proxying import Proxying

PONG_SECONDS: Final = 10.0
MESSAGE_SECONDS: Final = 30.0
"""How long a message may take, from its first byte to its last."""
FEW_BYTES: Final = 512
"""A read of so few bytes is not counted, unless it goes on with something unfinished."""
HEARD: Final = -1.0
"""In place of the time of a ping: something has come from the client since it was visited."""
QUIET: Final = 0.0
"""Likewise: nothing has come since, and it has not been pinged."""
_TEXT: Final = Opcode.TEXT
_BINARY: Final = Opcode.BINARY
_PING: Final = websocket.frame(Opcode.PING, b"")
_ELSEWHERE: Final = websocket.close_frame(CloseCode.SERVICE_RESTART, "connect again")
_LAST: Final = {
    Leave.MAX_AGE: _ELSEWHERE,
    Leave.SHUTDOWN: _ELSEWHERE,
    Leave.MOVED: _ELSEWHERE,
    Leave.DISCONNECTED: websocket.close_frame(CloseCode.POLICY_VIOLATION, "disconnected by an operator"),
    Leave.NO_ROOM: websocket.close_frame(CloseCode.TRY_AGAIN_LATER, "there is no room for this subscription now"),
    Leave.TOKEN_EXPIRED: websocket.close_frame(CloseCode.POLICY_VIOLATION, "the token has expired"),
}
"""The close frame that says why."""


def encode(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
    """StateChanges as WebSocket text frames."""
    return websocket.text_frames(jmap.state_changes(changes, cursor))


def encode_with_status(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
    """As `encode`, for those who are told of outages too: they are known by it."""
    return encode(changes, cursor)


class ParkedWebSocket(Parked):
    """The handler of upgraded connections, and the route that upgrades them.

    `moment` is when a ping was sent that has not been answered, or HEARD, or QUIET.
    """

    wire_format = "websocket"
    upgrades: Final = True

    def __init__(
        self, lot: Lot, max_message: int, ping_seconds: float, unfinished: Account, proxying: Proxying | None = None
    ) -> None:
        """`unfinished` counts the bytes of unfinished messages of all clients together; `proxying` answers requests."""
        super().__init__(lot)
        self._proxying = proxying
        self._endpoint = Endpoint(
            lot.reactor.send,
            max_message,
            self._hear,
            self._end,
            count=self._count_frame,
            kept=unfinished,
            clock=time.monotonic,
        )
        # An answer may take PONG_SECONDS of it.
        self._quiet_seconds = max(ping_seconds - PONG_SECONDS, ping_seconds / 2)
        lot.reactor.each_turn(self._end_overdue)

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no upgrade."""
        websocket.check_upgrade(request)

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Upgrade a connection and park it; `rest` came behind its head. Raises RequestRejected (400)."""
        response = websocket.handshake(request, jmap.SUBPROTOCOL, http_date())
        if self._proxying is not None:
            self._proxying.open(connection, request)
        self._park(connection, response, HEARD)
        if rest and connection.handler is self:
            self.received(connection, rest)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Whatever it is, the client is there."""
        connection.moment = HEARD
        size = len(data)
        if size and (size > FEW_BYTES or connection in self._endpoint) and self._lot.talk.is_too_much(connection, size):
            self._end_for_policy(connection, "too_many_bytes", "the client sends too many bytes")
            return
        if self._endpoint.received(connection, data, time.monotonic() + TURN_SECONDS):
            self._lot.reactor.go_on_later(connection)

    def _hear(self, connection: Connection, message: Message) -> None:
        if message.opcode is _TEXT:
            self._lot.counters.messages_in += 1
            self._handle_text(connection, message.payload)
        elif message.opcode is _BINARY:
            raise ConnectionFailed(CloseCode.UNSUPPORTED_DATA, "binary", "messages must be text (RFC 8887 section 4.2)")

    def _count_frame(self, connection: Connection) -> None:
        """Count what clients say: control frames too, and fragments, since an empty one costs as much as any."""
        if self._lot.talk.is_too_often(connection):
            detail = "the client sends too many messages"
            raise ConnectionFailed(CloseCode.POLICY_VIOLATION, "too_many_messages", detail)

    def _end_overdue(self, now: float) -> None:
        for connection in self._endpoint.overdue(now, MESSAGE_SECONDS):
            # What has come and is not read is late for our reasons; there is an end to it, for it is counted.
            if not self._lot.reactor.has_unread(connection):
                self._end_for_policy(connection, "message_deadline", "a message took too long")

    def _end_for_policy(self, connection: Connection, reason: str, detail: str) -> None:
        self._end(connection, websocket.close_frame(CloseCode.POLICY_VIOLATION, detail), reason)

    def _handle_text(self, connection: Connection, payload: bytes) -> None:
        proxying = self._proxying
        asked = jmap.read_message(payload, connection.account_names(), proxied=proxying is not None)
        subscriptions = self._lot.subscriptions
        if isinstance(asked, jmap.PushEnable):
            form = subscriptions.form(asked.data_types, encode_with_status if asked.push_status else encode)
            subscriptions.subscribe(connection, form, asked.push_state)
            self._lot.witness.subscribed(connection)
            if subscriptions.is_stalled(connection):
                self.tell_outage(connection, stalled=True)
        elif isinstance(asked, jmap.PushDisable):
            subscriptions.unsubscribe(connection)
        elif isinstance(asked, jmap.Reply):
            self._reply(connection, asked)
        elif proxying is not None:
            refused = proxying.ask(connection, asked)
            if refused is not None:
                self._reply(connection, refused)

    def _reply(self, connection: Connection, reply: jmap.Reply) -> None:
        self._lot.counters.request_errors += reply.failed
        self._lot.reactor.send((connection,), websocket.frame(Opcode.TEXT, reply.payload))

    def holdings(self) -> Iterable[tuple[Connection, int]]:
        """Those with an unfinished message, each with the bytes that are kept of it."""
        return self._endpoint.holdings()

    def _visit(self, connection: Connection, now: float) -> float | None:
        # Also for one that is heard of at every visit, and so never pinged.
        if now - connection.pushed_at >= REFRESH_SECONDS:
            self._lot.hub.refresh(connection)
            if connection.handler is not self:
                return None
        if connection.moment == HEARD:
            connection.moment = QUIET
            return now + self._quiet_seconds * random.uniform(0.8, 1.0)  # noqa: S311 - spreads the pings
        if connection.moment == QUIET:
            return self._ping(connection, now)
        due = connection.moment + PONG_SECONDS
        if now < due:
            return due
        if self._lot.reactor.has_unread(connection):
            # After a freeze of this process the deadlines of everybody are over before anybody's pong is read.
            return now
        self._lot.reactor.close(connection, "pong_deadline")
        return None

    def _ping(self, connection: Connection, now: float) -> float:
        self._lot.reactor.send((connection,), _PING)
        connection.moment = now
        return now + PONG_SECONDS

    def tell_outage(self, connection: Connection, *, stalled: bool) -> None:
        """Tell who asked for it."""
        if connection.form is not None and connection.form.encode is encode_with_status:
            frame = websocket.frame(Opcode.TEXT, jmap.push_status(stalled=stalled))
            self._lot.reactor.send((connection,), frame)

    def unblocked(self, connection: Connection) -> None:
        """Tell what waited for the write; a client that reads again is heard of, whatever it was pinged before."""
        connection.moment = HEARD
        super().unblocked(connection)
        if self._proxying is not None:
            self._proxying.unblocked(connection)

    def _forget(self, connection: Connection, reason: str) -> str:
        self._endpoint.forget(connection)
        if self._proxying is not None:
            self._proxying.forget(connection)
        return super()._forget(connection, reason)

    def leave(self, connection: Connection, why: Leave) -> None:
        """Close with 1012 (another gateway takes it), 1013 (it may come again later) or 1008 (its token is over)."""
        self._end(connection, _LAST[why], why)
