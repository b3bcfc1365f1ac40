"""Hands a connection and the bytes read so far to uvicorn, on the same loop, for everything that is not parked."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from tidings.ops.listener import QuietProtocol, quiet_config

MAX_CONNECTIONS: Final = 512
"""Requests served this way at once; beyond that the answer is 503."""
REQUEST_SECONDS: Final = 60.0
"""A request that takes longer is cut off, so that a slow one cannot hold its place for ever."""

_log = structlog.get_logger()


class _Protocol(QuietProtocol):
    """That of every listener, with a deadline for all of the request.

    It ends with the connection: else a timer would keep each for as long as it runs.
    """

    def __init__(self, received: bytes, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._received = received

    def data_received(self, data: bytes) -> None:
        """What was read before comes first, also when the loop has read more by then."""
        data, self._received = self._received + data, b""
        if data and not self.transport.is_closing():
            super().data_received(data)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)


class HandOver:
    """Serves `app` on sockets that somebody else accepted.

    Every response carries `Connection: close`: the next request on the connection might be one for the parking
    lot, which would never see it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._config = quiet_config(app, MAX_CONNECTIONS)
        self._config.load()
        self._state = ServerState()
        self._state.default_headers = [*self._config.encoded_headers, (b"connection", b"close")]
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._state.connections)

    def take(self, sock: socket.socket, received: bytes) -> None:
        """Serve a connection of which `received` has been read."""
        task = asyncio.get_running_loop().create_task(self._take(sock, received))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, sock: socket.socket, received: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, protocol = await loop.connect_accepted_socket(
                lambda: _Protocol(received, self._config, self._state), sock
            )
        except OSError as error:
            _log.info("hand-over failed", reason=str(error))
            sock.close()
            return
        # Nothing more may come.
        protocol.data_received(b"")

    async def stop(self, seconds: float) -> None:
        """Let running requests end, for at most this long."""
        for connection in tuple(self._state.connections):
            connection.shutdown()
        running = {*self._tasks, *self._state.tasks}
        if running:
            await asyncio.wait(running, timeout=seconds)
