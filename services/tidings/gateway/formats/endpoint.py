"""The server's end of WebSocket connections, whatever they are for: what RFC 6455 asks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Final

from tidings.errors import ConnectionFailed
from tidings.gateway.codecs import websocket
from tidings.gateway.codecs.frames import Decoder
from tidings.gateway.codecs.websocket import CloseCode, Message, Opcode
from tidings.gateway.model.connection import Connection
from tidings.ops.budget import Account

MAX_UNFINISHED_BYTES: Final = 32 * 1024 * 1024
"""Of unfinished messages of all connections together, where the budget allows more."""
UNFINISHED_BYTES: Final = 1024
"""What an unfinished message takes beside its bytes."""
ENDED_AT_ONCE: Final = 64
"""How many are ended at the most to make room for one."""
# What is looked up for each message: a member of an enumeration takes longer to find than its message to handle.
_PING: Final = Opcode.PING
_CLOSE: Final = Opcode.CLOSE


@dataclass(slots=True)
class _Unfinished:
    """What a connection has begun to say, since when, and what is counted for it."""

    decoder: Decoder
    since: float
    size: int


class Endpoint:
    """Decodes what a handler receives, answers pings and closes, and fails connections.

    `send` writes a frame. `count` is told of every frame, and `hear` of every message, control frames too; both may
    raise ConnectionFailed. `end` sends a close frame as the last, and what its third
    argument says is why; it has to change the connection's handler, so that nothing is heard any more (RFC 6455
    sections 1.4, 7.1.7). `kept` counts the bytes of unfinished messages, and `clock` gives seconds.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Connection], bytes], None],
        max_message: int,
        hear: Callable[[Connection, Message], None],
        end: Callable[[Connection, bytes, str], None],
        *,
        count: Callable[[Connection], None],
        kept: Account,
        clock: Callable[[], float],
    ) -> None:
        self._send = send
        self._max_message = max_message
        self._hear = hear
        self._end = end
        self._count = count
        self._kept = kept
        self._clock = clock
        self._unfinished: dict[Connection, _Unfinished] = {}
        """In the order in which the messages began."""
        self._spare: Decoder | None = None

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._unfinished

    def received(self, connection: Connection, data: memoryview, until: float = inf) -> bool:
        """Handle the messages in `data`; an unfinished one is kept beside the connection.

        From `until` on, in the clock's seconds, the rest of them is left for a call without data: True then.
        """
        unfinished = self._unfinished.get(connection)
        if unfinished is not None:
            decoder = unfinished.decoder
        else:
            decoder, self._spare = self._spare or Decoder(self._max_message), None
        handler, is_late = connection.handler, False
        try:
            for message in decoder.feed(data):
                self._count(connection)
                if message is not None:
                    self._handle(connection, message)
                if connection.handler is not handler:
                    self.forget(connection)
                    return False
                if not decoder.in_message and unfinished is not None:
                    # Whatever else has come belongs to another message.
                    self.forget(connection)
                    unfinished = None
                if until < inf and self._clock() >= until:
                    is_late = True
                    break
        except ConnectionFailed as error:
            self._fail(connection, error)
            return False
        if decoder.idle:
            self._spare = decoder
            return False
        return self._keep(connection, decoder, unfinished) and is_late

    def _handle(self, connection: Connection, message: Message) -> None:
        self._hear(connection, message)
        if message.opcode is _PING:
            self._send((connection,), websocket.frame(Opcode.PONG, message.payload))
        elif message.opcode is _CLOSE:
            _, reply = websocket.close_reply(message.payload)
            self._end(connection, reply, "client_closed")

    def _keep(self, connection: Connection, decoder: Decoder, unfinished: _Unfinished | None) -> bool:
        if unfinished is None:
            unfinished = _Unfinished(decoder, self._clock(), 0)
        size = UNFINISHED_BYTES + decoder.kept
        more = size - unfinished.size
        if more > 0 and not self._kept.take(more) and not self._make_room(connection, more):
            self._fail(connection, _no_room())
            return False
        # Less is kept where the head of a frame has been read.
        self._kept.give(max(0, -more))
        unfinished.size = size
        self._unfinished[connection] = unfinished
        return True

    def _make_room(self, connection: Connection, size: int) -> bool:
        """End those that have been unfinished for longest."""
        for other in tuple(islice(self._unfinished, ENDED_AT_ONCE)):
            if other is not connection:
                self._fail(other, _no_room())
                if self._kept.take(size):
                    return True
        return False

    def _fail(self, connection: Connection, error: ConnectionFailed) -> None:
        self.forget(connection)
        self._end(connection, websocket.close_frame(error.code, error.detail), error.reason)

    def overdue(self, now: float, seconds: float) -> list[Connection]:
        """Those with a message that began `seconds` ago or earlier."""
        late: list[Connection] = []
        for connection, unfinished in self._unfinished.items():
            if now - unfinished.since < seconds:
                break
            late.append(connection)
        return late

    def holdings(self) -> Iterator[tuple[Connection, int]]:
        """Those with something unfinished, each with the bytes that it holds."""
        return ((connection, unfinished.size) for connection, unfinished in self._unfinished.items())

    def forget(self, connection: Connection) -> None:
        """Drop what is unfinished of a connection."""
        unfinished = self._unfinished.pop(connection, None)
        if unfinished is not None:
            self._kept.give(unfinished.size)


def _no_room() -> ConnectionFailed:
    return ConnectionFailed(CloseCode.TRY_AGAIN_LATER, "messages_full", "too many unfinished messages wait")
