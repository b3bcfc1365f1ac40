"""What a push costs: CPU of the gateway's thread, beside a bare write loop over the very same sockets."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import statistics
import time
from multiprocessing.connection import Connection as Pipe
from multiprocessing.sharedctypes import Synchronized
from secrets import token_bytes

import uvloop

from bench.report import Row
from bench.wire import connect
from tests.support.gateway import RunningGateway, running_gateway
from tidings.gateway.hub import HubCounters
from tidings.gateway.parked_websocket import encode
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

CONNECTIONS = 1_000
CHANGES = 200
SETTLE_SECONDS = 0.02
ACCOUNT = "user@mail.example"
STATE = "0123456789abcdef"


def _readers(port: int, count: int, ready: Pipe, received: Synchronized[int]) -> None:
    """Read and count whatever comes, as bytes."""
    parked = select.epoll()
    socks = {}
    for _ in range(count):
        sock = connect(port, f"account={ACCOUNT}")
        socks[sock.fileno()] = sock
        parked.register(sock.fileno(), select.EPOLLIN)
    ready.send(count)
    while True:
        total = 0
        for fd, _ in parked.poll(1.0):
            total += len(socks[fd].recv(65536))
        with received.get_lock():
            received.value += total


async def _drained(received: Synchronized[int], expected: int) -> None:
    async with asyncio.timeout(60):
        while received.value < expected:
            await asyncio.sleep(0.001)


def _inside(gateway: RunningGateway) -> tuple[list[int], HubCounters]:
    """The gateway's own descriptors, so that the reference writes to the very same sockets, and its counters."""
    reactor, parked, _ = gateway.service._parts  # type: ignore[attr-defined]
    return [connection.fd for connection in reactor.connections()], parked._hub.counters


async def _pushed(gateway: RunningGateway, counters: HubCounters, payload: bytes) -> float:
    """CPU seconds from appending a batch until it is written to everybody."""
    due, start = counters.pushed + CONNECTIONS, time.thread_time()
    await gateway.log.append(shard_of(ACCOUNT, gateway.log.shards), payload)
    while counters.pushed < due:
        await asyncio.sleep(0)
    return time.thread_time() - start


def _written(fds: list[int], frame: bytes) -> float:
    """CPU seconds of the loop that could not do less."""
    start = time.thread_time()
    for fd in fds:
        os.write(fd, frame)
    return time.thread_time() - start


def _payload() -> bytes:
    return batch.encode(token_bytes(16), time.time(), (Change(ACCOUNT, {"Email": STATE}, "FlagsSet", "1", "bench"),))


async def _run() -> tuple[float, float, float]:
    context = multiprocessing.get_context("spawn")
    received = context.Value("q", 0)
    ours, theirs = context.Pipe()
    async with running_gateway(coalesce_ms=0) as gateway:
        arguments = (gateway.port, CONNECTIONS, theirs, received)
        process = context.Process(target=_readers, args=arguments, daemon=True)
        process.start()
        try:
            async with asyncio.timeout(60):
                while not ours.poll(0):
                    await asyncio.sleep(0.01)
            fds, counters = _inside(gateway)
            frame = encode({ACCOUNT: {"Email": STATE}}, "AQgHAYlcAYY")
            expected = received.value
            bare: list[float] = []
            ours_cpu: list[float] = []
            async with asyncio.timeout(300):
                for _ in range(CHANGES):
                    bare.append(_written(fds, frame))
                    expected += CONNECTIONS * len(frame)
                    await _drained(received, expected)
                    ours_cpu.append(await _pushed(gateway, counters, _payload()))
                    await asyncio.sleep(SETTLE_SECONDS)
                    expected = received.value
        finally:
            process.terminate()
            process.join()
    mine, reference = statistics.median(ours_cpu), statistics.median(bare)
    return mine / reference, mine / CONNECTIONS, reference / CONNECTIONS


def measure() -> list[Row]:
    """CPU per push to many connections of one account."""
    ratio, mine, bare = uvloop.run(_run())
    return [
        Row(
            f"CPU per push, {CONNECTIONS:,} connections of one account, --coalesce-ms 0",
            f"{ratio:.2f} x ({mine * 1e6:.2f} us)",
            "at most 1.25 x",
            f"bare os.write over the same sockets: {bare * 1e6:.2f} us",
        )
    ]
