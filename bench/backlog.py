"""A feed alone: its CPU for each entry of a log that is full already, beside a bare socket that reads the same."""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from secrets import token_bytes

import uvloop

from bench.report import Row
from tests.support.broker import Broker
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.gateway.feeds.feed import Feed, FeedCounters
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.rounds import Rounds
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.model.changes import Told
from tidings.gateway.model.pending import ResyncReason
from tidings.ops.budget import Budget
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.cursor import Position

ENTRIES = 6_000
ROUNDS = 3
IN_FLIGHT = 100
TARGETS = {1: "at most 20 us", 10: "at most 30 us: 3 us a change"}
"""By changes an entry."""


class Nobody:
    """The owner of a feed, whom nobody is connected to."""

    def find(self, _: str) -> None:
        """Nobody is to be told of anything."""

    def live(self, shard: int, position: Position) -> None:
        """The feed has read everything."""

    def batch(self, shard: int, position: Position, changes: Sequence[Told], consumed: float) -> None:
        """A batch that nobody is to be told of."""

    def gap(self, shard: int, reason: ResyncReason) -> None:
        raise AssertionError("nothing is missed")


async def opened(url: str) -> RabbitMQLog:
    """A log of one shard that can be used."""
    log = RabbitMQLog(url, 1)
    await log.open()
    while not (log.can_append and log.can_read):
        await asyncio.sleep(0.02)
    return log


def entry(number: int, changes: int) -> bytes:
    """An entry of so many changes, of accounts that no other has."""
    told = tuple(
        Change(f"user{number * changes + at}@mail.example", {"Email": f"{number:016x}"}, "FlagsSet", "1", "bench")
        for at in range(changes)
    )
    return batch.encode(token_bytes(batch.ID_BYTES), time.time(), told)


async def fill(url: str, changes: int, entries: int = ENTRIES) -> None:
    """Append so many entries, each of so many changes."""
    log = await opened(url)

    async def append(first: int) -> None:
        for number in range(first, entries, IN_FLIGHT):
            await log.append(0, entry(number, changes))

    await asyncio.gather(*map(append, range(IN_FLIGHT)))
    await log.close()


def nothing() -> None:
    """What is to be done once a reader is attached to a log that is full already."""


async def read(url: str, changes: int, entries: int = ENTRIES, attached: Callable[[], object] = nothing) -> float:
    """CPU seconds of a feed, and of what brings the entries to it, until it has taken all of them."""
    log, counters = await opened(url), FeedCounters()
    windows = Windows(Budget().account("windows"))
    feed = Feed(log, 0, Nobody(), counters, lambda *_: None, windows, LogClock(), Rounds())
    gc.collect()
    start = time.thread_time()
    feed.start()
    attached()
    while counters.changes < entries * changes:
        await asyncio.sleep(0.02)
    spent = time.thread_time() - start
    await feed.stop()
    await log.close()
    return spent


def bare(program: Sequence[str], attached: Callable[[], object] = nothing) -> tuple[float, int]:
    """CPU seconds of a bare reader, which is a module and its arguments; the chunks that came, where it counts them."""
    with subprocess.Popen((sys.executable, "-m", *program), stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        try:
            before, *_ = reader.stdout.readline().split()
            attached()
            after, *chunks = reader.stdout.readline().split()
        finally:
            reader.kill()
    return float(after) - float(before), sum(map(int, chunks))


def _row(url: str, changes: int) -> Row:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fill(url, changes))
        reader = ("bench.bare_reader", url, "1", "first", str(ENTRIES))
        pairs = [(runner.run(read(url, changes)), bare(reader)[0]) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) / ENTRIES * 1e6 for column in zip(*pairs, strict=True))
    return Row(
        f"CPU of a feed for each entry from RabbitMQ, acks included, {changes} changes of nobody here",
        f"{ours:.1f} us, {ours / changes:.2f} us a change",
        TARGETS[changes],
        f"a bare socket that decodes and acknowledges: {theirs:.1f} us ({ours / theirs:.1f} x)",
    )


def measure() -> list[Row]:
    """Medians of rounds in turn. The log must be read within five minutes of being filled."""
    with Broker(vhosts=len(TARGETS)) as broker:
        return [_row(broker.fresh_url(), changes) for changes in TARGETS]
