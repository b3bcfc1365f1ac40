"""A parked WebSocket: frames in, JMAP out, pings and deadlines."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from tidings.errors import ConnectionFailed
from tidings.gateway import jmap, websocket
from tidings.gateway.connection import Connection
from tidings.gateway.endpoint import Endpoint
from tidings.gateway.http1 import Request
from tidings.gateway.parked import REFRESH_SECONDS, Lot, Parked
from tidings.gateway.websocket import CloseCode, Message, Opcode

WEBSOCKET_PATH: Final = "/jmap/ws"
PONG_SECONDS: Final = 10.0
TALK_SECONDS: Final = 10.0
"""What the messages of one client are averaged over."""
HEARD: Final = -1.0
"""In place of the time of a ping: something came from the client since."""
_PING: Final = websocket.frame(Opcode.PING, b"")


def encode(changes: Sequence[jmap.Changed], cursor: str) -> list[bytes]:
    """StateChanges as WebSocket text frames."""
    return websocket.text_frames(jmap.state_changes(changes, cursor))


def session_state(accounts: tuple[str, ...]) -> str:
    """The session resource's `state` (RFC 8620 section 2): it changes when the user's accounts do."""
    return f"{crc32('/'.join(accounts).encode()):08x}"


class ParkedWebSocket(Parked):
    """The handler of upgraded connections, and the route that upgrades them."""

    wire_format = "websocket"
    upgrades: Final = True

    def __init__(self, lot: Lot, max_message: int, max_messages_per_second: int, ping_seconds: float) -> None:
        super().__init__(lot)
        self._endpoint = Endpoint(lot.reactor.send, max_message, self._hear, self._end)
        # An answer may take PONG_SECONDS of it.
        self._quiet_seconds = max(ping_seconds - PONG_SECONDS, ping_seconds / 2)
        self._max_talk = max_messages_per_second * TALK_SECONDS
        self._talk: Counter[Connection] = Counter()
        self._talk_since = time.monotonic()

    def check(self, request: Request) -> None:
        """Raise RequestRejected for what is no upgrade."""
        websocket.check_upgrade(request)

    def open(self, connection: Connection, request: Request, rest: memoryview) -> None:
        """Upgrade a connection and park it; `rest` came behind its head. Raises RequestRejected (400)."""
        self._park(connection, websocket.handshake(request, jmap.SUBPROTOCOL), HEARD)
        if rest and connection.handler is self:
            self.received(connection, rest)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Whatever it is, the client is there."""
        connection.pinged = HEARD
        self._endpoint.received(connection, data)

    def _hear(self, connection: Connection, message: Message) -> None:
        self._count_talk(connection)
        if message.opcode == Opcode.TEXT:
            self._lot.counters.messages_in += 1
            self._handle_text(connection, message.payload)
        elif message.opcode == Opcode.BINARY:
            raise ConnectionFailed(CloseCode.UNSUPPORTED_DATA, "binary", "JMAP is text (RFC 8887 section 4.2)")

    def _count_talk(self, connection: Connection) -> None:
        """Count what clients say, control frames too, in windows: only those that talk cost anything."""
        self._forget_talk(time.monotonic())
        self._talk[connection] += 1
        if self._max_talk and self._talk[connection] > self._max_talk:
            raise ConnectionFailed(CloseCode.POLICY_VIOLATION, "too_many_messages", "too many messages")

    def _forget_talk(self, now: float) -> None:
        if now - self._talk_since >= TALK_SECONDS:
            self._talk.clear()
            self._talk_since = now

    def _handle_text(self, connection: Connection, payload: bytes) -> None:
        asked = jmap.read_message(payload, session_state(connection.account_names()))
        subscriptions = self._lot.subscriptions
        if isinstance(asked, jmap.PushEnable):
            subscriptions.subscribe(connection, subscriptions.form(asked.data_types, encode), asked.push_state)
            self._lot.lives.subscribed(connection)
        elif isinstance(asked, jmap.PushDisable):
            subscriptions.unsubscribe(connection)
        else:
            self._lot.counters.request_errors += asked.failed
            self._lot.reactor.send((connection,), websocket.frame(Opcode.TEXT, asked.payload))

    def _visit(self, connection: Connection, now: float) -> float | None:
        self._forget_talk(now)
        if connection.pinged == HEARD:
            connection.pinged = 0.0
            return now + self._quiet_seconds * random.uniform(0.8, 1.0)  # noqa: S311 - spreads the pings
        if not connection.pinged:
            return self._ping(connection, now)
        due = connection.pinged + PONG_SECONDS
        if now < due:
            return due
        if self._lot.reactor.has_unread(connection):
            # After a freeze of this process the deadlines of everybody are over before anybody's pong is read.
            return now
        self._lot.reactor.close(connection, "pong_deadline")
        return None

    def _ping(self, connection: Connection, now: float) -> float:
        if now - connection.pushed_at >= REFRESH_SECONDS:
            self._lot.hub.refresh(connection)
        self._lot.reactor.send((connection,), _PING)
        connection.pinged = now
        return now + PONG_SECONDS

    def unblocked(self, connection: Connection) -> None:
        """Tell what waited for the write; a client that reads again is heard of, whatever it was pinged before."""
        connection.pinged = HEARD
        super().unblocked(connection)

    def closed(self, connection: Connection, reason: str) -> None:
        """Forget it."""
        super().closed(connection, reason)
        self._endpoint.forget(connection)
        self._talk.pop(connection, None)

    def send_elsewhere(self, connection: Connection, reason: str) -> None:
        """Have the client connect again (close code 1012)."""
        self._end(connection, websocket.close_frame(CloseCode.SERVICE_RESTART, "connect again"), reason)

    def _expire(self, connection: Connection) -> None:
        frame = websocket.close_frame(CloseCode.POLICY_VIOLATION, "the token has expired")
        self._end(connection, frame, "token_expired")
