"""The stream protocol beside AMQP 0-9-1: CPU of who reads the log, and of the broker meanwhile, for each entry.

One log is full: a chunk holds many entries. One grows at a pace: each entry is a chunk, a read and a wake-up. A feed
reads both over AMQP. Two bare sockets read both as well, one by each protocol, and do the same with each entry. The
difference of the two is what the stream protocol would take off a feed.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import uvloop

from bench import backlog
from bench.entries import ONE_SCHEDULER
from bench.report import Row
from bench.usage import cores, cpu_seconds, on_core
from tests.support.broker import Broker
from tests.support.ports import free_ports

PER_ENTRY = (1, 10)
"""Changes."""
ENTRIES = 30_000
ROUNDS = 3
PACE, PACED = 500, 2_000
"""Entries a second, and how many."""
TARGET = "a feed at half its CPU"


class Cost(NamedTuple):
    """CPU seconds of a reader, and the chunks that came, where it counts them; CPU seconds of the broker meanwhile."""

    reader: float
    chunks: float
    broker: float


Read = Callable[[Callable[[], object]], tuple[float, int]]
"""Reads a log to its end: CPU seconds, chunks. It calls what it is given once it is attached."""


class Bench(NamedTuple):
    """A broker, the port of its plugin, and a process that appends."""

    broker: Broker
    port: int
    publisher: Executor

    def readers(self, url: str, changes: int, entries: int) -> dict[str, Read]:
        """Who reads the log: all of them the same entries, from the first."""
        stream_url = url.replace(f":{self.broker.port}/", f":{self.port}/")
        return {
            "feed": lambda attached: (uvloop.run(backlog.read(url, changes, entries, attached)), 0),
            "amqp": partial(backlog.bare, ("bench.bare_reader", url, "1", "first", str(entries))),
            "stream": partial(backlog.bare, ("bench.stream_reader", stream_url, "1", "0", str(entries))),
        }

    def cost(self, read: Callable[[], tuple[float, int]]) -> Cost:
        before = cpu_seconds((self.broker.pid,))
        seconds, chunks = read()
        return Cost(seconds, chunks, cpu_seconds((self.broker.pid,)) - before)


def append(url: str, changes: int) -> None:
    """Append entries at the pace, one after the other."""

    async def append() -> None:
        log, begun = await backlog.opened(url), time.monotonic()
        for number in range(PACED):
            await asyncio.sleep(begun + number / PACE - time.monotonic())
            await log.append(0, backlog.entry(number, changes))
        await log.close()

    uvloop.run(append())


def _full(bench: Bench, changes: int) -> dict[str, Cost]:
    """Medians of rounds in turn, of one log that was full before."""
    url = bench.broker.fresh_url()
    uvloop.run(backlog.fill(url, changes, ENTRIES))
    readers = bench.readers(url, changes, ENTRIES)
    rounds = [
        {name: bench.cost(partial(read, backlog.nothing)) for name, read in readers.items()} for _ in range(ROUNDS)
    ]
    return {
        name: Cost(*(statistics.median(column) for column in zip(*(costs[name] for costs in rounds), strict=True)))
        for name in readers
    }


def _growing(bench: Bench, changes: int, name: str) -> Cost:
    """Of a log of its own, that begins to grow once who reads it is attached."""
    url = bench.broker.fresh_url()
    uvloop.run(backlog.fill(url, changes, 0))
    appended: list[Future[None]] = []

    def begin() -> None:
        appended.append(bench.publisher.submit(append, url, changes))

    def nobody(attached: Callable[[], object]) -> tuple[float, int]:
        attached()
        return 0.0, 0

    def read() -> tuple[float, int]:
        found = {"nobody": nobody, **bench.readers(url, changes, PACED)}[name](begin)
        appended[0].result()
        return found

    return bench.cost(read)


def _row(load: str, changes: int, entries: int, costs: Mapping[str, Cost]) -> Row:
    feed, amqp, stream = (costs[name] for name in ("feed", "amqp", "stream"))
    left = feed.reader - (amqp.reader - stream.reader)
    each = {
        name: f"{cost.reader / entries * 1e6:.1f} us, broker {cost.broker / entries * 1e6:.1f} us"
        for name, cost in costs.items()
    }
    unread = costs.get("nobody")
    alone = f"; broker that nobody reads from: {unread.broker / entries * 1e6:.1f} us" if unread else ""
    return Row(
        f"CPU for each entry by the stream protocol, {load}, {changes} changes",
        f"a bare socket {each['stream']}, {entries / stream.chunks:.1f} entries a chunk; "
        f"that would leave of a feed {left / entries * 1e6:.1f} us ({feed.reader / left:.2f} x)",
        TARGET,
        f"over AMQP a bare socket {each['amqp']}; a feed {each['feed']}{alone}",
    )


def measure() -> list[Row]:
    """Readers on one core; broker and publisher on another."""
    server, others = cores()
    (port,) = free_ports(1)
    listener = f"stream.listeners.tcp.1 = 127.0.0.1:{port}"
    with ExitStack() as stack:
        with on_core(others):
            vhosts = 5 * len(PER_ENTRY)
            plugins = ("rabbitmq_stream",)
            broker = Broker(vhosts, plugins=plugins, settings=(listener,), schedulers=ONE_SCHEDULER)
            stack.enter_context(broker)
            publisher = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
            publisher.submit(time.monotonic).result()
        stack.enter_context(on_core(server))
        bench = Bench(broker, port, publisher)
        rows = [_row("of a full log", changes, ENTRIES, _full(bench, changes)) for changes in PER_ENTRY]
        for changes in PER_ENTRY:
            costs = {name: _growing(bench, changes, name) for name in ("nobody", "feed", "amqp", "stream")}
            rows.append(_row(f"{PACE} a second", changes, PACED, costs))
    return rows
