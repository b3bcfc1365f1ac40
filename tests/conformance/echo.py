"""`python -m tests.conformance.echo --port P`: an echo server on the gateway's own reactor, endpoint and codec.

For conformance suites from outside. It takes any path and Origin and speaks no subprotocol; messages may be of 16 MiB
in any number of fragments. No deadlines: a suite may take its time.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
import time
from typing import Final

import uvloop

from tidings.errors import RequestRejected
from tidings.gateway.codecs import http1, websocket
from tidings.gateway.codecs.websocket import Message, Opcode
from tidings.gateway.formats.endpoint import Endpoint
from tidings.gateway.limits.lobby import Lobby
from tidings.gateway.limits.talk import Talk
from tidings.gateway.model.connection import Connection, Handler
from tidings.gateway.net.closing import Closing
from tidings.gateway.net.listener import listen
from tidings.gateway.net.reactor import READ_BYTES, Reactor
from tidings.ops.budget import Budget
from tidings.ops.http.dates import http_date

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_UNSENT_BYTES: Final = MAX_MESSAGE_BYTES + READ_BYTES
"""The reactor reads nothing from a connection that it cannot write to, so a client that sends and does not read has at
most the echoes of what one read completed: the longest message, and short ones behind it."""
SEND_BUFFER_BYTES: Final = 256 * 1024
"""More than a segment on loopback holds (64 KiB): with less, a long message goes out at the pace of delayed ACKs."""


class Echo(Handler):
    """Says what it hears."""

    def __init__(self, reactor: Reactor, closing: Closing) -> None:
        self._reactor = reactor
        self._closing = closing
        self._endpoint = Endpoint(
            reactor.send,
            MAX_MESSAGE_BYTES,
            self._hear,
            self._end,
            count=lambda connection: None,
            kept=Budget().account("messages"),
            clock=time.monotonic,
        )

    def received(self, connection: Connection, data: memoryview) -> None:
        self._endpoint.received(connection, data)

    def _hear(self, connection: Connection, message: Message) -> None:
        if message.opcode < Opcode.CLOSE:
            self._reactor.send((connection,), websocket.frame(message.opcode, message.payload))

    def _end(self, connection: Connection, last: bytes, reason: str) -> None:
        self.closed(connection, reason)
        self._closing.finish(connection, last)

    def half_closed(self, connection: Connection) -> None:
        self._reactor.close(connection, "eof")

    def closed(self, connection: Connection, reason: str) -> None:
        self._endpoint.forget(connection)


class Door(Handler):
    """Takes every upgrade that RFC 6455 allows."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._closing = Closing(reactor, Lobby(Budget().account("heads")), Talk(0, MAX_MESSAGE_BYTES))
        self._echo = Echo(reactor, self._closing)
        self._heads: dict[Connection, bytes] = {}

    def received(self, connection: Connection, data: memoryview) -> None:
        head = self._heads.pop(connection, b"") + bytes(data)
        try:
            request = http1.parse_request(head)
            if request is None:
                self._heads[connection] = head
                return
            websocket.check_upgrade(request)
            response = websocket.handshake(request, None, http_date())
        except RequestRejected as error:
            self._closing.finish(connection, http1.rejection(error, date=http_date()))
            return
        connection.handler = self._echo
        self._reactor.send((connection,), response)
        if len(head) > request.size and connection.handler is self._echo:
            self._echo.received(connection, memoryview(head)[request.size :])

    def half_closed(self, connection: Connection) -> None:
        self._reactor.close(connection, "eof")

    def closed(self, connection: Connection, reason: str) -> None:
        self._heads.pop(connection, None)


async def serve(host: str, port: int) -> None:
    """Echo until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    listener = listen(host, port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    reactor = Reactor(listener, MAX_UNSENT_BYTES)
    reactor.start(Door(reactor), lambda connection: None)
    sys.stdout.write(f"listening on {host}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    reactor.stop_accepting()
    reactor.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.echo",
        description="A WebSocket echo server on the gateway's reactor and codec, for conformance suites.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9001, help="port; 0 for any free one (default: %(default)s)")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
