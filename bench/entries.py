"""Reading the log: CPU of a gateway for each entry that RabbitMQ delivers, beside a bare reader of the same entries."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from secrets import token_bytes
from typing import IO, NamedTuple
from urllib.request import urlopen

import uvloop

from bench import backlog
from bench.crowd import Crowd, now_state
from bench.peers.tidings import OPENED, opening
from bench.report import Row
from bench.tokens import SECRET
from bench.trial import account
from bench.usage import cores, cpu_seconds, on_core
from tests.support.broker import Broker
from tests.support.metrics import Scrape
from tests.support.processes import Tidings, tidings
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import DEFAULT_SHARDS, shard_of

CLIENTS = 4_000
PING_SECONDS = "600"
"""Few pings meanwhile: on a busy machine this takes long. Nor are there markers, in shards that are never silent."""
SETTLE_SECONDS = 3.0
LAST_SECONDS = 0.3
DEADLINE_SECONDS = 120.0
ONE_SCHEDULER = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"


class Load(NamedTuple):
    """So many entries of so many changes each, of accounts with a client at the gateway or of others."""

    changes: int
    entries: int
    matched: bool


LOADS = (
    Load(1, 16_000, matched=False),
    Load(10, 8_000, matched=False),
    Load(1, 16_000, matched=True),
    Load(4, 12_800, matched=True),
    Load(25, 6_400, matched=True),
)


def _by_shard(accounts: Iterator[str], each: int) -> list[list[str]]:
    """Accounts by shard, at least `each` in every one."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name in accounts:
        found[shard_of(name, DEFAULT_SHARDS)].append(name)
        if len(found) == DEFAULT_SHARDS and min(map(len, found.values())) >= each:
            break
    return [found[shard] for shard in range(DEFAULT_SHARDS)]


def _entries(load: Load, accounts: Sequence[Sequence[str]]) -> list[list[bytes]]:
    """The entries of each shard."""
    entries: list[list[bytes]] = [[] for _ in accounts]
    for number in range(load.entries):
        shard = number % DEFAULT_SHARDS
        changes = tuple(
            Change(name, {"Email": now_state()}, "FlagsSet", f"{number}-{at}", "bench")
            for at, name in enumerate(random.sample(accounts[shard], load.changes))
        )
        entries[shard].append(batch.encode(token_bytes(batch.ID_BYTES), time.time(), changes))
    return entries


async def _append(url: str, entries: Sequence[Sequence[bytes]]) -> None:
    log = RabbitMQLog(url, DEFAULT_SHARDS)
    await log.open()
    while not log.can_append:
        await asyncio.sleep(0.05)

    async def append(shard: int) -> None:
        for payload in entries[shard]:
            await log.append(shard, payload)

    await asyncio.gather(*map(append, range(DEFAULT_SHARDS)))
    await log.close()


def _appended(url: str, entries: Sequence[Sequence[bytes]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_append(url, entries))


@contextmanager
def _bare_reader(url: str) -> Iterator[subprocess.Popen[str]]:
    """One that has attached; it tells when it has read each load."""
    totals, total = [], 0
    for load in LOADS:
        total += load.entries
        totals.append(str(total))
    command = (sys.executable, "-m", "bench.bare_reader", url, str(DEFAULT_SHARDS), "next", *totals)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        try:
            yield reader
        finally:
            reader.kill()


class Bench(NamedTuple):
    """What is measured, what feeds it, and who listens."""

    url: str
    gateway: Tidings
    bare: IO[str]
    crowd: Crowd


class Cost(NamedTuple):
    """CPU seconds of the gateway for each entry, and of the bare reader since it began."""

    ours: float
    bare: float


def _measure(bench: Bench, load: Load, entries: Sequence[Sequence[bytes]]) -> Cost:
    gateway, crowd = bench.gateway, bench.crowd
    consumed, told = _consumed(gateway), crowd.told
    before = cpu_seconds((gateway.pid,))
    with ThreadPoolExecutor(2) as pool:
        appending = pool.submit(_appended, bench.url, entries)
        reading = pool.submit(bench.bare.readline)
        crowd.run(lambda: appending.done() and reading.done(), DEADLINE_SECONDS)
        appending.result()
    while _consumed(gateway) < consumed + load.changes * load.entries:
        crowd.idle(LAST_SECONDS)
    assert (crowd.told > told) == load.matched
    return Cost((cpu_seconds((gateway.pid,)) - before) / load.entries, float(reading.result()))


def _consumed(gateway: Tidings) -> float:
    with urlopen(gateway.url("probe", "/metrics")) as answer:
        return Scrape(answer.read().decode()).value("tidings_changes_consumed_total")


def _row(load: Load, ours: float, bare: float) -> Row:
    whose = "with a client here" if load.matched else "of nobody here"
    return Row(
        f"CPU of `tidings gateway` for each entry from RabbitMQ, pushes included, {load.changes} changes {whose}",
        f"{ours * 1e6:.1f} us, {ours / load.changes * 1e6:.1f} us a change",
        "",
        f"a bare socket that decodes and acknowledges: {bare * 1e6:.1f} us ({ours / bare:.1f} x)",
    )


def measure() -> list[Row]:
    """A gateway and the bare reader on one core; broker, publisher and clients on another."""
    rows = backlog.measure()
    server, others = cores()
    matched = _by_shard(map(account, range(CLIENTS)), CLIENTS)
    unmatched = _by_shard((f"nobody{number}@mail.example" for number in count()), 50)
    env = {"TIDINGS_JWT_SECRET": SECRET}
    with ExitStack() as stack:
        with on_core(others):
            broker = stack.enter_context(Broker(schedulers=ONE_SCHEDULER))
        with on_core(server):
            flags = ("--bus", broker.url, "--auth", "jwt", "--coalesce-ms", "0", "--ping-seconds", PING_SECONDS)
            gateway = stack.enter_context(tidings("gateway", *flags, env=env))
            gateway.wait_connected()
            bare = stack.enter_context(_bare_reader(broker.url))
        stack.enter_context(on_core(others))
        crowd = stack.enter_context(closing(Crowd(gateway.ports["gateway"], OPENED)))
        crowd.open(map(opening, map(account, range(CLIENTS))))
        crowd.idle(SETTLE_SECONDS)
        assert bare.stdout is not None
        bench = Bench(broker.url, gateway, bare.stdout, crowd)
        before = float(bare.stdout.readline())
        for load in LOADS:
            cost = _measure(bench, load, _entries(load, matched if load.matched else unmatched))
            rows.append(_row(load, cost.ours, (cost.bare - before) / load.entries))
            before = cost.bare
    return rows
