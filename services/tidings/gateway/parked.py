"""A parked WebSocket: frames in, JMAP out, pings and deadlines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from tidings.errors import ConnectionFailed
from tidings.gateway import jmap, websocket
from tidings.gateway.closing import Closing
from tidings.gateway.connection import Connection
from tidings.gateway.hub import Hub
from tidings.gateway.reactor import Reactor
from tidings.gateway.subscriptions import Subscriptions
from tidings.gateway.websocket import CloseCode, Decoder, Message, Opcode

PING_SECONDS: Final = 25.0
PONG_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 30.0
REFRESH_SECONDS: Final = 120.0
MAX_MESSAGE_BYTES: Final = 64 * 1024
HEARD: Final = -1.0
"""In place of the time of a ping: something came from the client since."""
_PING: Final = websocket.frame(Opcode.PING, b"")


def encode(changed: Mapping[str, Mapping[str, str]], cursor: str) -> bytes:
    """A StateChange as a WebSocket text frame."""
    return websocket.frame(Opcode.TEXT, jmap.state_change(changed, cursor))


def session_state(accounts: tuple[str, ...]) -> str:
    """The session resource's `state` (RFC 8620 section 2): it changes when the user's accounts do."""
    return f"{crc32('/'.join(accounts).encode()):08x}"


@dataclass(slots=True)
class ParkedCounters:
    """Plain ints, read by the metrics collector."""

    open: int = 0
    opened: int = 0
    messages_in: int = 0
    request_errors: int = 0
    closed: dict[str, int] = field(default_factory=dict)


class ParkedWebSocket:
    """The handler of upgraded connections."""

    format: Final = "websocket"

    def __init__(self, reactor: Reactor, hub: Hub, subscriptions: Subscriptions, closing: Closing) -> None:
        self.counters = ParkedCounters()
        self._reactor = reactor
        self._hub = hub
        self._subscriptions = subscriptions
        self._closing = closing
        self._decoders: dict[Connection, Decoder] = {}
        self._spare = Decoder(MAX_MESSAGE_BYTES)

    def park(self, connection: Connection, response: bytes, rest: memoryview) -> None:
        """Take over a connection whose upgrade is accepted; `rest` came behind its head."""
        connection.handler = self
        connection.pinged = HEARD
        self.counters.open += 1
        self.counters.opened += 1
        self._reactor.send((connection,), response)
        if rest and connection.handler is self:
            self.received(connection, rest)

    def received(self, connection: Connection, data: memoryview) -> None:
        """Handle the messages in `data`; an unfinished one is kept beside the connection."""
        connection.pinged = HEARD
        decoder = self._decoders.pop(connection, None) or self._spare
        if decoder is self._spare:
            self._spare = Decoder(MAX_MESSAGE_BYTES)
        try:
            for message in decoder.feed(data):
                self._handle(connection, message)
                if connection.handler is not self:
                    return
        except ConnectionFailed as error:
            self._end(connection, websocket.close_frame(error.code, error.detail), error.reason)
            return
        if decoder.idle:
            self._spare = decoder
        else:
            self._decoders[connection] = decoder

    def _handle(self, connection: Connection, message: Message) -> None:
        match message.opcode:
            case Opcode.TEXT:
                self.counters.messages_in += 1
                self._handle_text(connection, message.payload)
            case Opcode.PING:
                self._reactor.send((connection,), websocket.frame(Opcode.PONG, message.payload))
            case Opcode.CLOSE:
                _, reply = websocket.close_reply(message.payload)
                self._end(connection, reply, "client_closed")
            case Opcode.BINARY:
                raise ConnectionFailed(CloseCode.UNSUPPORTED_DATA, "binary", "JMAP is text (RFC 8887 section 4.2)")
            case _:
                pass

    def _handle_text(self, connection: Connection, payload: bytes) -> None:
        asked = jmap.read_message(payload, session_state(connection.account_names()))
        if isinstance(asked, jmap.PushEnable):
            form = self._subscriptions.form(asked.data_types, encode)
            self._subscriptions.subscribe(connection, form, asked.push_state)
        elif isinstance(asked, jmap.PushDisable):
            self._subscriptions.unsubscribe(connection)
        else:
            self.counters.request_errors += asked.failed
            self._reactor.send((connection,), websocket.frame(Opcode.TEXT, asked.payload))

    def timed(self, connection: Connection, now: float) -> float | None:
        """Ping, or close for an expired token, a missing pong or a write without progress."""
        if connection.expires is not None and now >= connection.expires:
            self._end_with(connection, CloseCode.POLICY_VIOLATION, "token_expired", "the token has expired")
            return None
        since = self._reactor.blocked_since(connection)
        if since is not None:
            if now - since >= WRITE_SECONDS:
                self._reactor.close(connection, "write_deadline")
                return None
            due = since + WRITE_SECONDS
        elif connection.pinged == HEARD:
            connection.pinged = 0.0
            due = now + (PING_SECONDS - PONG_SECONDS) * random.uniform(0.8, 1.0)  # noqa: S311 - spreads the pings
        elif connection.pinged:
            due = connection.pinged + PONG_SECONDS
            if now >= due:
                self._reactor.close(connection, "pong_deadline")
                return None
        else:
            due = self._ping(connection, now)
        return due if connection.expires is None else min(due, connection.expires)

    def _ping(self, connection: Connection, now: float) -> float:
        if now - connection.pushed_at >= REFRESH_SECONDS:
            self._hub.refresh(connection)
        self._reactor.send((connection,), _PING)
        connection.pinged = now
        return now + PONG_SECONDS

    def unblocked(self, connection: Connection) -> None:
        """Tell what waited for the write; a client that reads again is heard of, whatever it was pinged before."""
        connection.pinged = HEARD
        self._hub.unblocked(connection)

    def closed(self, connection: Connection, reason: str) -> None:
        """Forget it."""
        self._subscriptions.unsubscribe(connection)
        self._decoders.pop(connection, None)
        self.counters.open -= 1
        self.counters.closed[reason] = self.counters.closed.get(reason, 0) + 1

    def shut_down(self, connection: Connection) -> None:
        """Send the client elsewhere: this service restarts (close code 1012)."""
        self._end_with(connection, CloseCode.SERVICE_RESTART, "shutdown", "service restart")

    def _end_with(self, connection: Connection, code: CloseCode, reason: str, detail: str) -> None:
        self._end(connection, websocket.close_frame(code, detail), reason)

    def _end(self, connection: Connection, frame: bytes, reason: str) -> None:
        self.closed(connection, reason)
        self._closing.finish(connection, frame)
