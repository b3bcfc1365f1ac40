"""Servers written for this comparison on what is known to be fast: in C, Go and Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.installing import built, python_with
from bench.peers import Server, absent, upgrade
from bench.peers.plain import HEAD_END, changes, opening
from bench.peers.process import serving
from bench.tokens import SECRET
from tests.support.ports import free_ports

HERE = Path(__file__).parent


class BareLoop:
    """What the kernel and this load allow."""

    name = "bare epoll loop in C"
    does = "reads no token and no frame, answers every upgrade with the same bytes, one `write` for each push"

    def _program(self) -> Path:
        return built("bare", HERE / "bare.c", "cc", "-O2", "-Wall", "bare.c", "-o")

    def missing(self) -> str | None:
        """A compiler, perhaps."""
        return absent(self._program)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it."""
        port, feed = free_ports(2)

        def number(account: str) -> str:
            return account.removeprefix("user").partition("@")[0]

        def open_bare(account: str) -> tuple[bytes, bytes]:
            return upgrade(f"/ws/user{number(account)}"), b""

        def told(accounts: Sequence[str], state: str) -> bytes:
            return "".join(f"{number(account)} {state}\n" for account in accounts).encode()

        command = (str(self._program()), str(port), str(feed))
        with TemporaryDirectory() as home, serving(command, feed, Path(home) / "output") as process:
            yield Server((process.pid,), port, open_bare, HEAD_END, feed, told)


class Gobwas:
    """Go as in "A Million WebSockets and Go": no goroutine and no buffer for each connection."""

    name = "Go, gobwas/ws + epoll"
    does = "HS256 token; JSON changes over HTTP; no pings, no deadlines, no history, no bound for a slow client"

    def _program(self) -> Path:
        return built("gobwas", HERE / "gobwas_ws", "go", "build", "-trimpath", "-buildvcs=false", "-o")

    def missing(self) -> str | None:
        """Go, or its modules."""
        return absent(self._program)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it; on one core Go runs one thread of its own at a time."""
        port, ingest = free_ports(2)
        command = (str(self._program()), "-port", str(port), "-ingest", str(ingest), "-secret", SECRET)
        with TemporaryDirectory() as home, serving(command, port, Path(home) / "output") as process:
            yield Server((process.pid,), port, opening, HEAD_END, ingest, changes)


def _python() -> Path:
    return python_with("peers", "peers")


class Picows:
    """picows (Cython) on uvloop."""

    name = "picows (Python, uvloop)"
    does = "HS256 token; JSON changes over HTTP; pings; no history, no bound for a slow client"

    def missing(self) -> str | None:
        """The packages."""
        return absent(_python)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with small read buffers: each connection has one."""
        port, ingest = free_ports(2)
        command = (str(_python()), str(HERE / "picows_app.py"), str(port), str(ingest), SECRET)
        with TemporaryDirectory() as home, serving(command, port, Path(home) / "output") as process:
            yield Server((process.pid,), port, opening, HEAD_END, ingest, changes)


class Socketify:
    """socketify: uWebSockets (C++) through CFFI."""

    name = "socketify (Python, uWebSockets)"
    does = "HS256 token; JSON changes over HTTP; pings; closes a client that does not read 1 MiB; no history"

    def missing(self) -> str | None:
        """The packages."""
        return absent(_python)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with a topic for each account."""
        (port,) = free_ports(1)
        command = (str(_python()), str(HERE / "socketify_app.py"), str(port), SECRET)
        with TemporaryDirectory() as home, serving(command, port, Path(home) / "output") as process:
            yield Server((process.pid,), port, opening, HEAD_END, port, changes)
