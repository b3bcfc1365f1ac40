"""The same trial for every peer: memory, upgrades, pushes and latency, from its clients' side."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from bench.crowd import Crowd, now_state
from bench.peers import Peer, Server
from bench.rate import Rate, timed
from bench.usage import cores, on_core, resident

SETTLE_SECONDS = 2.0
FEW, MANY = 1_000, 15_000
"""Connections between which memory is measured; to `MANY` accounts changes are told. The same for every peer."""
FAN = 1_000
"""Connections of the one account that has many."""
BATCH = 250
"""Accounts that one request changes where the peer can take several."""
AHEAD = 1_000
"""Changes that are under way at once when the accounts are distinct."""
PUSH_SECONDS = 3.0
NOBODYS_BATCHES = 80
"""Requests that change accounts without clients."""
RATE = 1_000
LATENCY_BATCH = 10
LATENCY_SECONDS = 7.0
WARM_SECONDS = 1.0


@dataclass
class Result:
    """One peer's figures. `base` in bytes, `memory` in bytes per connection, latencies in seconds.

    `unmatched`: changes that are for nobody who is connected, where these reach the server.
    """

    base: float
    memory: float
    upgrades: Rate
    one: Rate
    distinct: Rate
    latency: Rate
    latencies: list[float] = field(repr=False)
    unmatched: Rate | None = None

    def percentile(self, share: float) -> float:
        """A latency that this share of the changes did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def account(number: int) -> str:
    """An account with one connection."""
    return f"user{number}@mail.example"


FAN_ACCOUNT = account(10_000_000)


def measure(peer: Peer) -> Result:
    """Start a peer on one core and measure it from the other."""
    with started(peer) as (server, crowd):
        base = resident(server.pids)
        memory, upgrades = crowded(server, crowd, FEW, MANY)
        # Only now: some close a connection that says nothing for ten seconds.
        crowd.publisher(server.publishing, server.hello)
        distinct = told_distinct(server, crowd, MANY)
        latency, latencies = at_rate(server, crowd, MANY)
        unmatched = told_nobody(server, crowd) if server.beside else None
        one = told_one(server, crowd)
    return Result(base, memory, upgrades, one, distinct, latency, latencies, unmatched)


def one_account(peer: Peer) -> Rate:
    """Start a peer and tell only the account that has many connections."""
    with started(peer) as (server, crowd):
        crowd.publisher(server.publishing, server.hello)
        return told_one(server, crowd)


@contextmanager
def started(peer: Peer) -> Iterator[tuple[Server, Crowd]]:
    """A peer on one core, and on the other this thread, with a crowd that has no connections yet."""
    server_core, load_core = cores()
    with ExitStack() as stack:
        with on_core(server_core):
            server = stack.enter_context(peer.running())
        stack.enter_context(on_core(load_core))
        stack.enter_context(without_collector())
        yield server, stack.enter_context(closing(Crowd(server.port, server.opened, server.heartbeat)))


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's collector from pausing the load."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def crowded(server: Server, crowd: Crowd, few: int, many: int) -> tuple[float, Rate]:
    """Open `many` connections of distinct accounts: bytes of each beyond the first `few`, and how fast they came."""
    requests = [server.opening(account(number)) for number in range(many)]
    sizes = {}
    crowd.open(requests[:few])
    crowd.idle(SETTLE_SECONDS)
    sizes[few] = resident(server.pids)
    with timed(server.pids) as upgrades:
        crowd.open(requests[few:])
        upgrades.count = many - few
    crowd.idle(SETTLE_SECONDS)
    sizes[many] = resident(server.pids)
    return (sizes[many] - sizes[few]) / (many - few), upgrades


def told_distinct(server: Server, crowd: Crowd, accounts: int) -> Rate:
    """Change one account after the other, in random order, some of them ahead."""
    order = random.Random(0).sample(range(accounts), accounts)
    batches = [[account(number) for number in order[at : at + BATCH]] for at in range(0, accounts, BATCH)]
    due = crowd.told
    with timed(server.pids, server.beside) as rate:
        end, turn = time.monotonic() + PUSH_SECONDS, 0
        while time.monotonic() < end:
            batch = batches[turn % len(batches)]
            crowd.publish(server.changes(batch, now_state()))
            due, turn = due + len(batch), turn + 1
            rate.count += len(batch)
            limit = due - AHEAD
            crowd.run(lambda: crowd.told >= limit)  # noqa: B023 - called at once
        crowd.run(lambda: crowd.told >= due)
    return rate


def told_nobody(server: Server, crowd: Crowd) -> Rate:
    """Change accounts that nobody is connected for, then some that clients are: by then the others have been read."""
    due = crowd.told + BATCH
    with timed(server.pids, server.beside) as rate:
        for turn in range(NOBODYS_BATCHES):
            first = MANY + turn * BATCH
            crowd.publish(server.changes([account(first + number) for number in range(BATCH)], now_state()))
        crowd.publish(server.changes([account(number) for number in range(BATCH)], now_state()))
        rate.count = NOBODYS_BATCHES * BATCH
        crowd.run(lambda: crowd.told >= due)
    return rate


def told_one(server: Server, crowd: Crowd) -> Rate:
    """Change the account that has many connections, again as soon as all have been told."""
    crowd.open([server.opening(FAN_ACCOUNT)] * FAN)
    crowd.idle(1.0)
    due = crowd.told
    with timed(server.pids) as rate:
        end = time.monotonic() + PUSH_SECONDS
        while time.monotonic() < end:
            crowd.publish(server.changes([FAN_ACCOUNT], now_state()))
            due += FAN
            rate.count += FAN
            crowd.run(lambda: crowd.told >= due)  # noqa: B023 - called at once
    return rate


def at_rate(server: Server, crowd: Crowd, accounts: int) -> tuple[Rate, list[float]]:
    """Change random accounts at RATE, whatever comes of it; the latencies after the first WARM_SECONDS."""
    chance = random.Random(1)
    due = crowd.told
    with timed(server.pids) as rate:
        start = time.monotonic()
        crowd.timing = True
        warm = 0
        while (at := rate.count / RATE) < WARM_SECONDS + LATENCY_SECONDS:
            crowd.idle(start + at - time.monotonic())
            chosen = [account(number) for number in chance.sample(range(accounts), LATENCY_BATCH)]
            crowd.publish(server.changes(chosen, now_state()))
            rate.count += LATENCY_BATCH
            if at < WARM_SECONDS:
                warm = len(crowd.latencies)
        crowd.run(lambda: crowd.told >= due + rate.count)
        crowd.timing = False
    return rate, sorted(crowd.latencies[warm:])
