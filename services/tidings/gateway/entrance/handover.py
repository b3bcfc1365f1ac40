"""Hands a connection and the bytes read so far to uvicorn, on the same loop, for everything that is not parked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from tidings.errors import RequestRejected
from tidings.gateway.net.sockets import Socket
from tidings.ops.budget import Account
from tidings.ops.http.counted import QuietConfig
from tidings.ops.http.dates import http_date
from tidings.ops.http.protocol import RETRY_SECONDS, QuietProtocol
from tidings.ops.http.serving import quiet_config

MAX_CONNECTIONS: Final = 512
"""Requests served this way at once; beyond that the answer is 503."""
REQUEST_SECONDS: Final = 60.0
"""A request that takes longer is cut off, so that a slow one cannot hold its place for ever."""

_log = structlog.get_logger()


class _Protocol(QuietProtocol):
    """That of every listener, with a deadline for all of the request.

    It ends with the connection: else a timer would keep each for as long as it runs.
    """

    def __init__(self, received: bytes, ended: Callable[[], None], config: QuietConfig, state: ServerState) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._received = received
        self._ended = ended

    def on_headers_complete(self) -> None:
        self.server_state.default_headers = [(b"date", http_date().encode()), (b"connection", b"close")]
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """What was read before comes first, also when the loop has read more by then."""
        data, self._received = self._received + data, b""
        if data and not self.transport.is_closing():
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The end comes after what was read before, too."""
        self.data_received(b"")
        return super().eof_received()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._last_moment = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._last_moment.cancel()
        self._ended()
        super().connection_lost(exc)


class HandOver:
    """Serves `app` on sockets that somebody else accepted.

    Every response carries `Connection: close`: the next request on the connection might be one for the parking
    lot, which would never see it.
    """

    def __init__(self, app: ASGIApp, account: Account) -> None:
        """`account` counts what these connections make the process hold."""
        self._config = quiet_config(app, MAX_CONNECTIONS, account)
        self._config.load()
        self._state = ServerState()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._state.connections)

    def check_room(self) -> None:
        """Raise RequestRejected (503) while as many are served as may be."""
        if len(self._state.connections) + len(self._tasks) >= MAX_CONNECTIONS:
            raise RequestRejected(503, "requests_full", "too many requests at once: try again", RETRY_SECONDS)

    def take(self, sock: Socket, received: bytes, ended: Callable[[], None] = lambda: None) -> None:
        """Serve a connection of which `received` has been read; `ended` is called when it is gone."""
        task = asyncio.get_running_loop().create_task(self._take(sock, received, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, sock: Socket, received: bytes, ended: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, protocol = await loop.connect_accepted_socket(
                lambda: _Protocol(received, ended, self._config, self._state), sock
            )
        except OSError as error:
            _log.info("hand-over failed", reason=str(error))
            sock.close()
            ended()
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
