"""HTTP listeners on uvicorn, without its signal handlers and its own log lines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import structlog
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tidings.errors import SettingsError
from tidings.ops.problems import problem_response

BACKLOG: Final = 1024
MAX_REQUESTS: Final = 512
GRACE_SECONDS: Final = 5
HEAD_SECONDS: Final = 10.0
"""How long the head of a request may take to arrive, from the connection or the first byte of the next request on."""
MAX_HEAD_BYTES: Final = 16 * 1024
"""The target, and the names and values of the head and the trailers; and how much of one line is waited for."""
MAX_FIELDS: Final = 100
RETRY_SECONDS: Final = 1
STARTED_POLL_SECONDS: Final = 0.01

_log = structlog.get_logger()


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound, not yet listening socket; `shared`: others that are may have the same address (SO_REUSEPORT).

    Raises SettingsError when the address cannot be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return sock


class QuietProtocol(HttpToolsProtocol):
    """uvicorn's, with bounds and a deadline for heads, and problem details (RFC 9457) where it has plain text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._fields = 0
        # Of a line whose end is still to come the parser tells nothing, but keeps it.
        self._untold_bytes = 0
        self._most = self.limit_concurrency
        # Its own answer is plain text, and counts connections that ask for nothing.
        self.limit_concurrency = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._head_deadline = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and refuse a line that goes on without end."""
        self._untold_bytes += len(data)
        super().data_received(data)
        if self._untold_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a later head; that anything of it came was waited for by uvicorn."""
        super().on_message_begin()
        self._head_bytes = self._fields = self._untold_bytes = 0
        if self._head_deadline.cancelled():
            self._head_deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head, or of the trailers behind a chunked body."""
        self._fields += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, which is the application's to bound."""
        self._untold_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_deadline.cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._head_deadline.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and a head whose parsing was given up."""
        if self._too_large:
            self._refuse_head()
        else:
            self._refuse(400, "this is not HTTP/1.1")

    @property
    def _too_large(self) -> bool:
        return self._head_bytes > MAX_HEAD_BYTES or self._fields > MAX_FIELDS

    def _count(self, size: int) -> None:
        self._head_bytes += size
        self._untold_bytes = 0
        if self._too_large:
            # The parser stops at any error of a callback, and uvicorn then sends its answer to a bad request.
            raise ValueError("the head is too large")

    def _refuse_head(self) -> None:
        self._refuse(431, f"the head exceeds {MAX_HEAD_BYTES} bytes or {MAX_FIELDS} fields")

    def _refuse(self, status: int, detail: str) -> None:
        body = bytes(problem_response(status, detail).body)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/problem+json\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        full = self._most is not None and len(self.tasks) >= self._most
        answer: Any = _overloaded() if full else app
        super()._start_asgi_task(cycle, answer)


def _overloaded() -> Response:
    return problem_response(503, "too much is being asked at once: try again", {"Retry-After": str(RETRY_SECONDS)})


def quiet_config(app: ASGIApp, limit_concurrency: int) -> uvicorn.Config:
    """What uvicorn is told wherever it serves: HTTP alone, nothing logged, nothing said or believed of proxies."""
    return uvicorn.Config(
        app,
        http=QuietProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=limit_concurrency,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals and logging to the process it is part of."""

    def __init__(self, app: ASGIApp, limit_concurrency: int) -> None:
        super().__init__(quiet_config(app, limit_concurrency))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class UvicornService:
    """An ASGI application on a port of its own, as a part of a service."""

    def __init__(self, name: str, app: ASGIApp, host: str, port: int) -> None:
        self.name = name
        self.host = host
        self.port = port
        self._server = QuietServer(app, MAX_REQUESTS)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; `port` is the one that was bound. Raises SettingsError when it cannot be had."""
        sock = bind(self.host, self.port)
        self.port = sock.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([sock]), name=self.name)
        while not self._server.started and not self._task.done():
            await asyncio.sleep(STARTED_POLL_SECONDS)
        if self._task.done():
            self._task.result()
        _log.info("listening", service=self.name, host=self.host, port=self.port)

    async def stop(self) -> None:
        """Let running requests end, for a few seconds at most."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
