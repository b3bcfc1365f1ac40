"""HTTP listeners on uvicorn, without its signal handlers and its own log lines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from tidings.errors import SettingsError
from tidings.ops import systemd, unix_socket
from tidings.ops.budget import Account
from tidings.ops.http.counted import QuietConfig
from tidings.ops.http.loopback import unix_path
from tidings.ops.http.protocol import QuietProtocol

BACKLOG: Final = 1024
MAX_REQUESTS: Final = 512
GRACE_SECONDS: Final = 5
KEEP_ALIVE_SECONDS: Final = 5
STARTED_POLL_SECONDS: Final = 0.01
TICK_SECONDS: Final = 1.0

_log = structlog.get_logger()


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket; `shared`: others that are may have the same address (SO_REUSEPORT).

    It does not listen yet, unless systemd has opened it for this process.

    Raises SettingsError when the address cannot be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        given = systemd.take_socket(family, address)
        if given is not None:
            return given
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


def bind_public(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """As `bind`; a host that is unix:PATH is a Unix socket, which listens, and has no port.

    Raises SettingsError when the address cannot be had.
    """
    path = unix_path(host)
    if path is None:
        return bind(host, port, shared=shared)
    given = systemd.take_socket(socket.AF_UNIX, path)
    return given or unix_socket.bind(Path(path), socket.SOCK_STREAM, "--host (TIDINGS_HOST)")


def port_of(sock: socket.socket) -> int:
    """The port that a socket is bound to; 0: a Unix socket has none."""
    return 0 if sock.family == socket.AF_UNIX else int(sock.getsockname()[1])


def tell_listening(service: str, host: str, port: int) -> None:
    """Say in the log where a service listens; `host` is that of the settings."""
    path = unix_path(host)
    where = {"host": host, "port": port} if path is None else {"socket": path}
    _log.info("listening", service=service, **where)


def quiet_config(
    app: ASGIApp, limit_concurrency: int, account: Account, keep_alive_seconds: int = KEEP_ALIVE_SECONDS
) -> QuietConfig:
    """What uvicorn is told wherever it serves: HTTP alone, nothing logged, nothing said or believed of proxies.

    What connections make the process hold is counted in `account`; an idle one is closed after `keep_alive_seconds`.
    """
    config = QuietConfig(
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
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    config.account = account
    return config


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals and logging to the process it is part of."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """Wake once a second, for the Date of answers. uvicorn's own wakes ten times: too often for idle processes."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._ended.wait()
        self._loop = None

    def end(self) -> None:
        """Have `serve` end, which then waits for running requests. Called once, from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)


class UvicornService:
    """An ASGI application on a port of its own, as a part of a service."""

    def __init__(
        self,
        name: str,
        app: ASGIApp,
        host: str,
        port: int,
        account: Account,
        keep_alive_seconds: int = KEEP_ALIVE_SECONDS,
    ) -> None:
        """See `quiet_config`."""
        self.name = name
        self.host = host
        self.port = port
        self._server = QuietServer(quiet_config(app, MAX_REQUESTS, account, keep_alive_seconds))
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; `port` is the one that was bound, 0 for a Unix socket. Raises SettingsError when it cannot be had."""
        sock = bind_public(self.host, self.port)
        self.port = port_of(sock)
        self._task = asyncio.create_task(self._server.serve([sock]), name=self.name)
        while not self._server.started and not self._task.done():
            await asyncio.sleep(STARTED_POLL_SECONDS)
        if self._task.done():
            self._task.result()
        tell_listening(self.name, self.host, self.port)

    async def stop(self) -> None:
        """Let running requests end, for a few seconds at most."""
        self._server.end()
        if self._task is not None:
            await self._task
