"""What an upgrade costs: CPU of the gateway's thread from accept to the first cursor, beside a loop without checks.

Both take turns, in one process and with the same load: what slows one of them slows the other.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import jwt
import uvloop

from bench.inside import Clients, clients
from bench.peers.tidings import OPENED
from bench.report import Row
from bench.tokens import SECRET, token
from tests.support.gateway import running_gateway
from tidings.auth.claims import LEEWAY_SECONDS, Claims
from tidings.auth.verifying import SecretAuthentication
from tidings.gateway.net.listener import listen

EACH, PAIRS = 1_500, 5
"""Connections of a turn, and turns of each of both."""
WARM = 100
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


class _Opened(NamedTuple):
    """CPU seconds of this thread for each connection, blocks it keeps, and collections while all of them opened."""

    seconds: float
    blocks: float
    collections: int


async def _opened(crowd: Clients, turn: int, count: int = EACH) -> _Opened:
    await crowd.prepare([f"user{turn}-{number}@mail.example" for number in range(count)])
    gc.collect()
    blocks, collected = sys.getallocatedblocks(), _collections()
    start = time.thread_time()
    await crowd.open()
    seconds = time.thread_time() - start
    return _Opened(seconds / count, (sys.getallocatedblocks() - blocks) / count, _collections() - collected)


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


async def _run() -> tuple[list[_Opened], list[_Opened]]:
    """The turns of the gateway, and those of the bare loop before each."""
    mine: list[_Opened] = []
    bares: list[_Opened] = []
    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway, clients(gateway.port) as ours:
        await _opened(ours, -1, WARM)
        with _Bare() as bare:
            async with clients(bare.port) as theirs:
                await _opened(theirs, -1, WARM)
                for turn in range(PAIRS):
                    bares.append(await _opened(theirs, turn))
                    mine.append(await _opened(ours, turn))
    return mine, bares


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
    gateway, bare = uvloop.run(_run())
    seconds, reference = (statistics.median(turn.seconds for turn in turns) for turns in (gateway, bare))
    share = statistics.median(other.seconds / turn.seconds for turn, other in zip(gateway, bare, strict=True))
    return [
        Row(
            f"upgrades on one core: HS256 token, subscription, first cursor ({PAIRS} turns of {EACH:,} accounts)",
            f"{1 / seconds:,.0f}/s ({seconds * 1e6:.0f} us), {share:.2f} of the bare loop's",
            "at least 0.4",
            f"accept, 2 reads, 2 writes and no checks: {1 / reference:,.0f}/s",
        ),
        Row(
            "allocations per upgrade",
            f"{statistics.median(turn.blocks for turn in gateway):.1f} blocks kept",
            "",
            f"collections in {PAIRS * EACH:,} upgrades: {sum(turn.collections for turn in gateway)}",
        ),
        Row(
            "verifying an HS256 token and its claims",
            f"{mine * 1e6:.1f} us, {mine / theirs:.2f} of PyJWT's",
            "",
            f"PyJWT: {theirs * 1e6:.1f} us",
        ),
    ]
