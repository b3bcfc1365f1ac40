"""FastAPI on uvicorn with WebSockets: what one would write first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers import Server
from bench.peers.plain import HEAD_END, changes, opening
from bench.peers.process import serving
from tests.support.ports import free_ports

UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@contextmanager
def uvicorn(app: str, *flags: str) -> Iterator[tuple[int, int]]:
    """An application of bench.peers.apps under uvicorn: process and port."""
    (port,) = free_ports(1)
    command = (sys.executable, *UVICORN, "--port", str(port), "--backlog", "4096", *flags, f"bench.peers.apps:{app}")
    with TemporaryDirectory() as directory, serving(command, port, Path(directory) / "output") as process:
        yield process.pid, port


class FastApiWebSockets:
    """uvicorn with uvloop, httptools and websockets; a registry by account; a broadcast awaits its sends."""

    name = "FastAPI + uvicorn WebSockets"
    does = "HS256 token; JSON changes over HTTP; pings; no history, no bound for a slow client"

    def missing(self) -> str | None:
        """Nothing: it comes with Tidings and the development tools."""
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it; compression is off, which is its cheapest setting for short messages."""
        with uvicorn("push", "--ws", "websockets-sansio", "--ws-per-message-deflate", "false") as (pid, port):
            yield Server((pid,), port, opening, HEAD_END, port, changes)
