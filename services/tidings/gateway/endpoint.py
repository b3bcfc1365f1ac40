"""The server's end of WebSocket connections, whatever they are for: what RFC 6455 asks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidings.errors import ConnectionFailed
from tidings.gateway import websocket
from tidings.gateway.connection import Connection
from tidings.gateway.decoder import Decoder
from tidings.gateway.websocket import Message, Opcode


class Endpoint:
    """Decodes what a handler receives, answers pings and closes, and fails connections.

    `send` writes a frame. `hear` is told every message, control frames too, and may raise ConnectionFailed. `end` sends
    a close frame as the last, and what its third argument says is why; it has to change the connection's handler, so
    that nothing is heard any more (RFC 6455 sections 1.4, 7.1.7).
    """

    def __init__(
        self,
        send: Callable[[Sequence[Connection], bytes], None],
        max_message: int,
        hear: Callable[[Connection, Message], None],
        end: Callable[[Connection, bytes, str], None],
    ) -> None:
        self._send = send
        self._max_message = max_message
        self._hear = hear
        self._end = end
        self._decoders: dict[Connection, Decoder] = {}
        self._spare: Decoder | None = None

    def received(self, connection: Connection, data: memoryview) -> None:
        """Handle the messages in `data`; an unfinished one is kept beside the connection."""
        decoder = self._decoders.pop(connection, None)
        if decoder is None:
            decoder, self._spare = self._spare or Decoder(self._max_message), None
        handler = connection.handler
        try:
            for message in decoder.feed(data):
                self._handle(connection, message)
                if connection.handler is not handler:
                    return
        except ConnectionFailed as error:
            self._end(connection, websocket.close_frame(error.code, error.detail), error.reason)
            return
        if decoder.idle:
            self._spare = decoder
        else:
            self._decoders[connection] = decoder

    def _handle(self, connection: Connection, message: Message) -> None:
        self._hear(connection, message)
        if message.opcode == Opcode.PING:
            self._send((connection,), websocket.frame(Opcode.PONG, message.payload))
        elif message.opcode == Opcode.CLOSE:
            _, reply = websocket.close_reply(message.payload)
            self._end(connection, reply, "client_closed")

    def forget(self, connection: Connection) -> None:
        """Drop what is unfinished of a connection that is gone."""
        self._decoders.pop(connection, None)
