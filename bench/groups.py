"""What groups save, reading changes that none of the gateway's clients hear of; and what they cost, a session more."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass
from secrets import token_bytes
from urllib.request import urlopen

from bench.report import Row
from bench.usage import cpu_seconds
from bench.wire import connect
from tests.support.broker import Broker
from tests.support.changelog import opened, ready
from tests.support.processes import Tidings, tidings
from tidings.bus.log import ChangeLog
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import DEFAULT_SHARDS, shard_of

GROUPS = 4
RATES = (0, 250, 1_000)
"""Changes per second, each an entry of its own, as it is under light load."""
SECONDS = 6.0
ROUNDS = 3
SENDERS = 2
"""That append to a shard, so that the rate does not depend on how soon the log confirms."""
COMEBACKS = 500
"""Sessions, and upgrades, in a round."""


@dataclass(frozen=True)
class Cost:
    """What two gateways took while the same changes were told: shares of a core, one of `rate` changes a second."""

    rate: float
    whole: float
    part: float


def account_in(shard: int, prefix: str) -> str:
    """An account of this shard."""
    names = (f"{prefix}{number}@mail.example" for number in itertools.count())
    return next(name for name in names if shard_of(name, DEFAULT_SHARDS) == shard)


def measure() -> list[Row]:
    """Two gateways beside each other, of whose clients nobody is told anything."""
    with ExitStack() as stack:
        bus = stack.enter_context(Broker()).fresh_url()
        flags = ("--bus", bus, "--ping-seconds", "600")
        whole, part = (stack.enter_context(tidings("gateway", *flags)) for _ in range(2))
        for gateway, step in ((whole, 1), (part, GROUPS)):
            gateway.wait_connected()
            for shard in range(0, DEFAULT_SHARDS, step):
                query = f"account={account_in(shard, 'listener')}"
                stack.enter_context(closing(connect(gateway.ports["gateway"], query)))
        costs = asyncio.run(_costs(bus, whole, part))
        session, upgrade = _comebacks(part)
    return [
        *_rows(costs),
        Row(
            "a session, which a client asks for before it comes back",
            f"{session * 1e6:,.0f} us of CPU",
            "",
            f"an upgrade with its subscription: {upgrade * 1e6:,.0f} us",
        ),
    ]


def _comebacks(gateway: Tidings) -> tuple[float, float]:
    """CPU seconds of a session and of an upgrade."""
    port, query = gateway.ports["gateway"], f"account={account_in(0, 'listener')}"

    def session() -> None:
        with urlopen(f"http://127.0.0.1:{port}/.well-known/jmap?{query}") as answer:
            answer.read()

    def each(ask: Callable[[], None]) -> float:
        before = cpu_seconds([gateway.pid])
        for _ in range(COMEBACKS):
            ask()
        return (cpu_seconds([gateway.pid]) - before) / COMEBACKS

    pairs = [(each(session), each(lambda: connect(port, query).close())) for _ in range(ROUNDS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


async def _costs(bus: str, whole: Tidings, part: Tidings) -> dict[int, list[Cost]]:
    async with opened(RabbitMQLog(bus, DEFAULT_SHARDS)) as log:
        await ready(log)
        costs: dict[int, list[Cost]] = {rate: [] for rate in RATES}
        for _ in range(ROUNDS):
            for rate, found in costs.items():
                before = [cpu_seconds([gateway.pid]) for gateway in (whole, part)]
                began = time.monotonic()
                told = await _tell(log, rate)
                took = time.monotonic() - began
                spent = [
                    (cpu_seconds([gateway.pid]) - at) / took for gateway, at in zip((whole, part), before, strict=True)
                ]
                found.append(Cost(told / took, *spent))
    return costs


async def _tell(log: ChangeLog, rate: int) -> int:
    """Append so many changes a second, of accounts that nobody listens to; how many it were."""
    if not rate:
        await asyncio.sleep(SECONDS)
        return 0
    deadline = time.monotonic() + SECONDS
    senders = range(DEFAULT_SHARDS * SENDERS)
    return sum(await asyncio.gather(*(_tell_by(log, sender, rate, deadline) for sender in senders)))


async def _tell_by(log: ChangeLog, sender: int, rate: int, deadline: float) -> int:
    """Append one after the other to a shard, from a moment of its own on."""
    shard = sender % DEFAULT_SHARDS
    pause = DEFAULT_SHARDS * SENDERS / rate
    due = time.monotonic() + sender / rate
    change = Change(account_in(shard, "nobody"), {"Email": "s1"}, "MessageNew", "1", "bench", None)
    told = 0
    while due < deadline:
        await asyncio.sleep(due - time.monotonic())
        await log.append(shard, batch.encode(token_bytes(16), time.time(), (change,)))
        told += 1
        due += pause
    return told


def _rows(costs: dict[int, list[Cost]]) -> Iterator[Row]:
    for found in costs.values():
        rate, whole, part = (statistics.median(column) for column in zip(*map(astuple, found), strict=True))
        yield Row(
            f"a gateway whose clients hear of none of {rate:,.0f} changes/s, one an entry: reading all shards",
            f"{whole:.1%} of a core",
            "",
            f"in one of {GROUPS} groups: {part:.1%}, x{part / whole:.2f} (RabbitMQ, {DEFAULT_SHARDS} shards)",
        )
