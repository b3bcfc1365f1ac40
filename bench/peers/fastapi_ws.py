"""FastAPI on uvicorn with WebSockets: what one would write first."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers import Server, post, upgrade
from bench.peers.process import serving
from bench.tokens import token
from tests.support.broker import free_ports

UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@contextmanager
def uvicorn(app: str, *flags: str) -> Iterator[tuple[int, int]]:
    """An application of bench.peers.apps under uvicorn: process and port."""
    (port,) = free_ports(1)
    command = (sys.executable, *UVICORN, "--port", str(port), "--backlog", "4096", *flags, f"bench.peers.apps:{app}")
    with TemporaryDirectory() as directory, serving(command, port, Path(directory) / "output") as process:
        yield process.pid, port


def _opening(account: str) -> tuple[bytes, bytes]:
    return upgrade("/ws", f"Authorization: Bearer {token(account)}"), b""


def _changes(accounts: Sequence[str], state: str) -> bytes:
    body = json.dumps({account: {"Email": state} for account in accounts}).encode()
    return post("/changes", body, "Content-Type: application/json")


class FastApiWebSockets:
    """uvicorn with uvloop, httptools and websockets; a registry by account; a broadcast awaits its sends."""

    name = "FastAPI + uvicorn WebSockets"
    few, many = 1_000, 5_000

    def missing(self) -> str | None:
        """Nothing: it comes with Tidings and the development tools."""
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it; compression is off, which is its cheapest setting for short messages."""
        with uvicorn("push", "--ws", "websockets-sansio", "--ws-per-message-deflate", "false") as (pid, port):
            yield Server((pid,), port, _opening, b"\r\n\r\n", port, _changes)
