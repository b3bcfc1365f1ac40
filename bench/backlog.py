"""A feed alone: its CPU for each entry of a log that is full already, beside a bare socket that reads the same."""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
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


async def _opened(url: str) -> RabbitMQLog:
    log = RabbitMQLog(url, 1)
    await log.open()
    while not (log.can_append and log.can_read):
        await asyncio.sleep(0.02)
    return log


async def _fill(url: str, changes: int) -> None:
    """Append the entries, each of so many changes."""
    log = await _opened(url)

    async def append(first: int) -> None:
        for number in range(first, ENTRIES, IN_FLIGHT):
            told = tuple(
                Change(
                    f"user{number * changes + at}@mail.example", {"Email": f"{number:016x}"}, "FlagsSet", "1", "bench"
                )
                for at in range(changes)
            )
            await log.append(0, batch.encode(token_bytes(batch.ID_BYTES), time.time(), told))

    await asyncio.gather(*map(append, range(IN_FLIGHT)))
    await log.close()


async def _read(url: str, changes: int) -> float:
    """CPU seconds of a feed, and of what brings the entries to it, until it has taken all of them."""
    log, counters = await _opened(url), FeedCounters()
    windows = Windows(Budget().account("windows"))
    feed = Feed(log, 0, Nobody(), counters, lambda *_: None, windows, LogClock(), Rounds())
    gc.collect()
    start = time.thread_time()
    feed.start()
    while counters.changes < ENTRIES * changes:
        await asyncio.sleep(0.02)
    spent = time.thread_time() - start
    await feed.stop()
    await log.close()
    return spent


def _bare(url: str) -> float:
    """CPU seconds of the bare reader for the same."""
    command = (sys.executable, "-m", "bench.bare_reader", url, "1", "first", str(ENTRIES))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        attached, done = (float(reader.stdout.readline()) for _ in range(2))
        reader.kill()
    return done - attached


def _row(url: str, changes: int) -> Row:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_fill(url, changes))
        pairs = [(runner.run(_read(url, changes)), _bare(url)) for _ in range(ROUNDS)]
    ours, bare = (statistics.median(column) / ENTRIES * 1e6 for column in zip(*pairs, strict=True))
    return Row(
        f"CPU of a feed for each entry from RabbitMQ, acks included, {changes} changes of nobody here",
        f"{ours:.1f} us, {ours / changes:.2f} us a change",
        TARGETS[changes],
        f"a bare socket that decodes and acknowledges: {bare:.1f} us ({ours / bare:.1f} x)",
    )


def measure() -> list[Row]:
    """Medians of rounds in turn. The log must be read within five minutes of being filled."""
    with Broker(vhosts=len(TARGETS)) as broker:
        return [_row(broker.fresh_url(), changes) for changes in TARGETS]
