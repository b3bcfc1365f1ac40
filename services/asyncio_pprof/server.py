"""Serves from a thread with a loop of its own, which answers when the program's loop is stuck. Needs uvicorn."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

MAX_REQUESTS: Final = 64
STOP_SECONDS: Final = 2


@contextmanager
def serving(app: ASGIApp, host: str, port: int) -> Iterator[int]:
    """Serve inside of this; yields the port, for 0 a free one. Raises OSError when the address cannot be had."""
    sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_REQUESTS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    # As an argument it would silence the access log of the program's own uvicorn.
    config.access_log = False
    server = uvicorn.Server(config)

    def serve() -> None:
        with asyncio.Runner() as runner:
            runner.run(server.serve([sock]))

    thread = threading.Thread(target=serve, name="asyncio-pprof", daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(2 * STOP_SECONDS)
