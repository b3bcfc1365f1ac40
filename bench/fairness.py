"""What one account's crowd, or a burst of upgrades, costs somebody else: the delay of another account's push."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable

import uvloop

from bench.crowd import now_state
from bench.inside import Clients, clients
from bench.peers.tidings import opening
from bench.report import Row
from bench.tokens import SECRET
from tests.support.gateway import RunningGateway, running_gateway

CROWD = 15_000
BURST = 1_000
ROUNDS = 8
PAUSE_SECONDS = 0.005
QUIET_SECONDS = 3.0
_CROWDED = "crowd@mail.example"
_OTHER = "other@mail.example"


async def _subscribed(port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    upgrade, subscription = opening(_OTHER)
    await loop.sock_sendall(sock, upgrade + subscription)
    received = b""
    while not received.endswith(b"}"):
        received += await loop.sock_recv(sock, 4096)
    return sock


async def _delays(gateway: RunningGateway, sock: socket.socket, meanwhile: Awaitable[object]) -> list[float]:
    """Seconds from the append of a change to its arrival, one change after the other until `meanwhile` has ended."""
    loop = asyncio.get_running_loop()
    disturbance = asyncio.ensure_future(meanwhile)
    delays = []
    while not disturbance.done():
        state, start = now_state(), time.monotonic()
        await gateway.publish(_OTHER, {"Email": state})
        received = b""
        while state.encode() not in received:
            received += await loop.sock_recv(sock, 4096)
        delays.append(time.monotonic() - start)
        await asyncio.sleep(PAUSE_SECONDS)
    await disturbance
    return delays


async def _crowded(gateway: RunningGateway, crowd: Clients) -> None:
    for number in range(ROUNDS):
        await gateway.publish(_CROWDED, {"Email": f"{number:016x}"})
        await crowd.read(CROWD)


async def _bursts(crowd: Clients) -> None:
    for number in range(ROUNDS):
        await crowd.prepare([f"burst{number}-{index}@mail.example" for index in range(BURST)])
        await crowd.open()


async def _measure() -> tuple[list[float], list[float], list[float]]:
    async with running_gateway(auth="jwt", jwt_secret=SECRET, coalesce_ms=0, max_connections=0) as gateway:
        sock = await _subscribed(gateway.port)
        async with clients(gateway.port) as crowd:
            quiet = await _delays(gateway, sock, asyncio.sleep(QUIET_SECONDS))
            bursts = await _delays(gateway, sock, _bursts(crowd))
        async with clients(gateway.port) as crowd:
            await crowd.prepare([_CROWDED] * CROWD)
            await crowd.open()
            crowded = await _delays(gateway, sock, _crowded(gateway, crowd))
        sock.close()
    return quiet, crowded, bursts


def _row(what: str, delays: list[float], quiet: list[float]) -> Row:
    return Row(
        f"delay of another account's push {what}",
        f"at most {max(delays) * 1e3:.1f} ms, {_p99(delays) * 1e3:.1f} ms at p99",
        "at most 50 ms",
        f"with nothing else to do: at most {max(quiet) * 1e3:.1f} ms, {_p99(quiet) * 1e3:.1f} ms at p99",
    )


def _p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)]


def measure() -> list[Row]:
    """From append to arrival, in the gateway's own thread, --coalesce-ms 0."""
    quiet, crowded, bursts = uvloop.run(_measure())
    return [
        _row(f"while {CROWD:,} connections of one account are pushed to, {ROUNDS} times", crowded, quiet),
        _row(f"during {ROUNDS} bursts of {BURST:,} upgrades", bursts, quiet),
    ]
