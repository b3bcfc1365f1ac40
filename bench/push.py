"""What a push costs: CPU of the gateway's thread, beside a bare write loop over the very same sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_bytes
from typing import NamedTuple

import uvloop

from bench import trial
from bench.inside import Clients, clients
from bench.peers.tidings import Whole
from bench.peers.written import BareLoop
from bench.report import Row
from bench.tokens import SECRET
from tests.support.gateway import RunningGateway, running_gateway
from tidings.gateway.formats.websocket import encode
from tidings.gateway.hub.sending import HubCounters
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

CONNECTIONS = 1_000
ROUNDS = 200
PER_BATCH = (1, 4, 50)
"""Changes of distinct accounts that travel in one batch: at light load, through 64 shards at some load, and full."""
PAIRS = 3
"""Times that ours and the loop in C are measured one after the other."""
STATE = "0123456789abcdef"
ONE = ("user@mail.example",)
DISTINCT = tuple(f"user{number}@mail.example" for number in range(CONNECTIONS))


class Cost(NamedTuple):
    """CPU seconds per push of ours and of the bare write, blocks kept per push, bytes at the peak, collections."""

    ours: float
    bare: float
    kept: float
    peak: float
    collections: tuple[int, ...]


@dataclass(frozen=True)
class Bench:
    """A gateway with its clients, and its inside: descriptors by account, its counters."""

    gateway: RunningGateway
    clients: Clients
    fds: dict[str, list[int]]
    counters: HubCounters

    def batches(self, accounts: Sequence[str], size: int) -> list[tuple[int, bytes]]:
        """One change of each account as log entries of at most `size`, in random order."""
        entries = []
        order = random.Random(0).sample(accounts, len(accounts))
        shards = self.gateway.log.shards
        for shard in sorted({shard_of(account, shards) for account in order}):
            told = [account for account in order if shard_of(account, shards) == shard]
            for at in range(0, len(told), size):
                changes = tuple(
                    Change(account, {"Email": STATE}, "FlagsSet", "1", "bench") for account in told[at : at + size]
                )
                entries.append((shard, batch.encode(token_bytes(batch.ID_BYTES), time.time(), changes)))
        return entries

    async def push(self, entries: Sequence[tuple[int, bytes]]) -> float:
        """CPU seconds from appending batches until they are written to everybody."""
        due, start = self.counters.pushed + CONNECTIONS, time.thread_time()
        for shard, payload in entries:
            await self.gateway.log.append(shard, payload)
        while self.counters.pushed < due:
            await asyncio.sleep(0)
        return time.thread_time() - start

    def write(self, accounts: Sequence[str], frame: bytes) -> float:
        """CPU seconds of the loop that could not do less."""
        order = random.Random(0).sample(accounts, len(accounts))
        shards = self.gateway.log.shards
        fds = [fd for account in sorted(order, key=lambda one: shard_of(one, shards)) for fd in self.fds[account]]
        start = time.thread_time()
        for fd in fds:
            os.write(fd, frame)
        return time.thread_time() - start


@asynccontextmanager
async def bench_of(accounts: Sequence[str]) -> AsyncIterator[Bench]:
    """A gateway with CONNECTIONS clients of these accounts."""
    async with (
        running_gateway(auth="jwt", jwt_secret=SECRET, coalesce_ms=0) as gateway,
        clients(gateway.port) as crowd,
    ):
        await crowd.prepare([accounts[number % len(accounts)] for number in range(CONNECTIONS)])
        await crowd.open()
        lot = gateway.service._parts.lot  # type: ignore[attr-defined]
        fds: dict[str, list[int]] = {}
        for connection in lot.reactor.connections():
            fds.setdefault(connection.accounts, []).append(connection.fd)
        yield Bench(gateway, crowd, fds, lot.hub.counters)


async def _cost(accounts: Sequence[str], size: int = 1) -> Cost:
    async with bench_of(accounts) as bench:
        crowd = bench.clients
        (frame,) = encode([{accounts[0]: {"Email": STATE}}], "AQgHAYlcAYY")
        bare, ours = [], []
        collected = _collections()
        async with asyncio.timeout(120):
            for _ in range(ROUNDS):
                bare.append(bench.write(accounts, frame))
                await crowd.read(CONNECTIONS)
                entries = bench.batches(accounts, size)
                ours.append(await bench.push(entries))
                await crowd.read(CONNECTIONS)
            collections = tuple(now - then for now, then in zip(_collections(), collected, strict=True))
            kept, peak = await _allocated(bench, bench.batches(accounts, size))
    return Cost(statistics.median(ours) / CONNECTIONS, statistics.median(bare) / CONNECTIONS, kept, peak, collections)


def _collections() -> tuple[int, ...]:
    return tuple(generation["collections"] for generation in gc.get_stats())


async def _allocated(bench: Bench, entries: Sequence[tuple[int, bytes]]) -> tuple[float, float]:
    """Blocks that stay allocated after a push (in the window of its shard), and bytes in use at the peak of one."""
    before = sys.getallocatedblocks()
    await bench.push(entries)
    kept = sys.getallocatedblocks() - before
    await bench.clients.read(CONNECTIONS)
    tracemalloc.start()
    try:
        start, _ = tracemalloc.get_traced_memory()
        await bench.push(entries)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return kept / CONNECTIONS, (peak - start) / CONNECTIONS


def _rows(what: str, target: str, cost: Cost) -> list[Row]:
    return [
        Row(
            f"CPU per push, {what}, --coalesce-ms 0",
            f"{cost.ours / cost.bare:.2f} x ({cost.ours * 1e6:.2f} us)",
            target,
            f"bare os.write over the same sockets in the same order: {cost.bare * 1e6:.2f} us",
        ),
        Row(
            f"allocations per push, {what}",
            f"{cost.kept:.2f} blocks kept, {cost.peak:.0f} B at the peak",
            "",
            f"collections of the three generations in {ROUNDS * CONNECTIONS:,} pushes: {cost.collections}",
        ),
    ]


def _beside_c() -> list[Row]:
    """All of `tidings up` beside the loop that could not do less, in turns."""
    loop, whole = BareLoop(), Whole()
    if loop.missing() is not None:
        return []
    rates = [(trial.one_account(loop).per_core, trial.one_account(whole).per_core) for _ in range(PAIRS)]
    share = statistics.median(ours / bare for bare, ours in rates)
    bare, ours = rates[-1]
    return [
        Row(
            f"`tidings up`, ingest included, to {trial.FAN:,} connections of one account: pushes per CPU second",
            f"{share:.2f} of a C write loop ({ours:,.0f})",
            "at least 0.6",
            f"{loop.name}: {bare:,.0f}",
        )
    ]


def measure() -> list[Row]:
    """CPU per push to many connections of one account, and to one connection of each of many."""
    one = uvloop.run(_cost(ONE))
    rows = _beside_c()
    rows += _rows(f"{CONNECTIONS:,} connections of one account", "at most 1.25 x", one)
    for size in PER_BATCH:
        what = f"each to another of {CONNECTIONS:,} accounts, {size} changes a batch"
        target = "at most 1.6 x" if size == max(PER_BATCH) else ""
        rows += _rows(what, target, uvloop.run(_cost(DISTINCT, size)))
    return rows
