"""What an upgrade costs: CPU of the gateway's thread from accept to the first cursor, beside a loop without checks."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import sys
import time
from collections.abc import Callable

import jwt
import uvloop

from bench.inside import clients
from bench.peers.tidings import OPENED
from bench.report import Row
from bench.tokens import SECRET, token
from tests.support.gateway import running_gateway
from tidings.gateway.listener import listen
from tidings.ops.claims import LEEWAY_SECONDS, Claims
from tidings.ops.verifying import SecretAuthentication

CONNECTIONS = 10_000
ROUNDS = 10
_SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nSec-WebSocket-Protocol: jmap\r\n\r\n"
)
_FIRST = b'\x81\x4a{"@type":"StateChange","changed":{},"pushState":"' + b"A" * 23 + b'"}'
assert OPENED in _FIRST


class _Bare:
    """Accepts, reads, and writes the same bytes to everybody."""

    def __init__(self) -> None:
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._answers: dict[int, bytes] = {}
        self._socks: list[socket.socket] = []

    def wake(self) -> None:
        """Serve who is ready."""
        for fd, _ in self._epoll.poll(0, 512):
            if fd == self._listener.fileno():
                self._accept()
                continue
            os.read(fd, 4096)
            os.write(fd, self._answers[fd])
            self._answers[fd] = _FIRST

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            self._socks.append(sock)
            self._answers[sock.fileno()] = _SWITCHED
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def __enter__(self) -> _Bare:
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self.wake)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        for sock in (*self._socks, self._listener):
            sock.close()
        self._epoll.close()


async def _opened(port: int) -> tuple[float, int, list[int]]:
    """CPU seconds of this thread while so many connections open, blocks they keep, collections by generation."""
    async with clients(port) as crowd:
        await crowd.prepare(["warm@mail.example"])
        await crowd.open()
        await crowd.prepare([f"user{number}@mail.example" for number in range(CONNECTIONS)])
        gc.collect()
        blocks, collected = sys.getallocatedblocks(), [generation["collections"] for generation in gc.get_stats()]
        start = time.thread_time()
        await crowd.open()
        seconds = time.thread_time() - start
        collections = [now["collections"] - then for now, then in zip(gc.get_stats(), collected, strict=True)]
        return seconds, sys.getallocatedblocks() - blocks, collections


async def _run() -> tuple[float, float, int, list[int]]:
    with _Bare() as bare:
        reference, _, _ = await _opened(bare.port)
    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway:
        seconds, blocks, collections = await _opened(gateway.port)
    return seconds, reference, blocks, collections


def _verified() -> tuple[float, float]:
    """CPU seconds of verifying a token, ours and PyJWT's: the least of several turns, taken alternately."""
    tokens = [token(f"user{number}@mail.example") for number in range(1_000)]
    ours = SecretAuthentication(SECRET, Claims())

    def library(token: str) -> None:
        options: jwt.types.Options = {"require": ["exp", "sub"], "verify_aud": False}
        jwt.decode(token, SECRET, ["HS256"], options, leeway=LEEWAY_SECONDS)

    def spent(verify: Callable[[str], object]) -> float:
        start = time.thread_time()
        for each in tokens:
            verify(each)
        return (time.thread_time() - start) / len(tokens)

    turns = [(spent(lambda each: ours.authenticate(each, {})), spent(library)) for _ in range(ROUNDS)]
    return min(mine for mine, _ in turns), min(theirs for _, theirs in turns)


def measure() -> list[Row]:
    """Upgrades a second of CPU time, what each leaves allocated, and what its token costs."""
    mine, theirs = _verified()
    seconds, reference, blocks, collections = uvloop.run(_run())
    return [
        Row(
            f"upgrades on one core: HS256 token, subscription, first cursor ({CONNECTIONS:,} accounts)",
            f"{CONNECTIONS / seconds:,.0f}/s ({seconds / CONNECTIONS * 1e6:.0f} us)",
            "at least 10,000/s",
            f"accept, 2 reads, 2 writes and no checks: {CONNECTIONS / reference:,.0f}/s",
        ),
        Row(
            "allocations per upgrade",
            f"{blocks / CONNECTIONS:.1f} blocks kept",
            "",
            f"collections of the three generations in {CONNECTIONS:,} upgrades: {tuple(collections)}",
        ),
        Row(
            "verifying an HS256 token and its claims",
            f"{mine * 1e6:.1f} us, {mine / theirs:.2f} of PyJWT's",
            "",
            f"PyJWT: {theirs * 1e6:.1f} us",
        ),
    ]
