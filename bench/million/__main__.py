"""`python -m bench.million`: hold a million connections on this machine, push to some of them, and say what it cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple, Never

from tqdm import tqdm

from bench.crowd import now_state
from bench.million import memory
from bench.million.clients import NAP_SECONDS, account
from bench.million.crowds import Crowds, crowds
from bench.million.memory import Memory
from bench.report import Row, document, save, table
from bench.tokens import SECRET
from bench.usage import cpu_seconds
from tests.support.broker import Broker
from tests.support.processes import Tidings, tidings
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.errors import LogUnavailable
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

FILES = 20_000
PER_PROCESS = 18_000
"""Connections of a client process."""
BYTES_PER_CONNECTION = 12 * 1024
"""What a connection takes here, both its ends and the kernel's part."""
BATCH = 250
PING_SECONDS = 300
"""At the default of 25 a million pings and their answers, both ends here, take more than two cores."""
OPEN_SECONDS = 3_600.0
TELL_SECONDS = 300.0
SETTLE_SECONDS = 15.0
SOME = 0.1
"""The share of the connections from which on each is counted by itself: the first ones also have the workers, which
were forked, write to pages that all of them shared."""
TROUBLES = 20
AGAIN_SECONDS = 0.2


class Spent(NamedTuple):
    """CPU seconds since the start."""

    gateway: float
    clients: float
    broker: float

    def since(self, before: Spent) -> str:
        """Of each, for people."""
        of = {name: after - early for name, after, early in zip(self._fields, self, before, strict=True)}
        return ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in of.items())


class Held(NamedTuple):
    """So many connections, and the memory when there were."""

    connections: int
    memory: Memory


def _number(path: str) -> int:
    """What a file of the kernel's holds; 0 when it is not there."""
    file = Path(path)
    return int(file.read_text()) if file.exists() else 0


def missing(connections: int) -> list[str]:
    """What keeps this machine from holding so many."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    faults = []
    if files < FILES:
        faults.append(f"a process may open {files:,} files here: ulimit -Hn {FILES}")
    if _number("/proc/sys/fs/file-max") < 2.2 * connections:
        faults.append(f"fs.file-max is too low: sysctl -w fs.file-max={int(2.5 * connections)}")
    tracked = _number("/proc/sys/net/netfilter/nf_conntrack_count")
    # Rules of a firewall, Docker's too, have the kernel remember every connection, and refuse those beyond its limit.
    if tracked and _number("/proc/sys/net/netfilter/nf_conntrack_max") < 1.1 * connections:
        most = int(1.2 * connections)
        faults.append(f"connections are tracked here: sysctl -w net.netfilter.nf_conntrack_max={most}")
    needed, available = BYTES_PER_CONNECTION * connections, memory.read(()).available
    if available < needed:
        faults.append(f"{available / 2**30:.1f} GiB are available, about {needed / 2**30:.1f} GiB are needed")
    return faults


async def appended(log: RabbitMQLog, shard: int, payload: bytes) -> bool:
    """Whether the log has confirmed it."""
    try:
        await log.append(shard, payload)
    except LogUnavailable:
        return False
    return True


async def publish(url: str, shard_count: int, chosen: Sequence[int], rate: float, bar: tqdm[Never]) -> None:
    """Append a change to each of these accounts, so many a second, in batches, as publishers do."""
    log = RabbitMQLog(url, shard_count)
    await log.open()
    while not log.can_append:
        await asyncio.sleep(0.05)
    start = time.monotonic()
    for first in range(0, len(chosen), BATCH):
        await asyncio.sleep(start + first / rate - time.monotonic())
        shards: defaultdict[int, list[Change]] = defaultdict(list)
        state = now_state()
        for number in chosen[first : first + BATCH]:
            name = account(number)
            change = Change(name, {"Email": state}, "FlagsSet", state, "bench", None)
            shards[shard_of(name, shard_count)].append(change)
        for shard, changes in shards.items():
            payload = batch.encode(token_bytes(batch.ID_BYTES), time.time(), tuple(changes))
            # As a publisher does: a batch whose confirmation did not come is sent again, with the same id.
            while not await appended(log, shard, payload):
                await asyncio.sleep(AGAIN_SECONDS)
            bar.update(len(changes))
    await log.close()


def connected(crowd: Crowds, connections: int, gateway: int) -> tuple[float, Held]:
    """Seconds until all of them are subscribed, and what it was when the first were."""
    start = time.monotonic()
    with tqdm(total=connections, desc="connecting", unit="conn", smoothing=0.05) as bar:

        def wait(least: int) -> None:
            crowd.wait(lambda: crowd.sum("open") >= least, OPEN_SECONDS, lambda: update(bar, crowd.sum("open")))

        wait(int(connections * SOME))
        some = Held(crowd.sum("open"), memory.read(memory.tree(gateway)))
        wait(connections)
    return time.monotonic() - start, some


def update(bar: tqdm[Never], now: int) -> None:
    """Move a bar to where things are."""
    bar.update(now - bar.n)


def run(connections: int, workers: int, shards: int, pushes: int, rate: float) -> tuple[list[Row], bool]:
    """Start everything, connect, push; what it cost, and whether every change arrived. All is gone afterwards."""
    with ExitStack() as stack:
        broker = Broker()
        stack.callback(broker.close)
        broker.launch()
        broker.wait_ready()
        url = broker.fresh_url()
        flags = f"--workers {workers} --shards {shards} --bus {url} --auth jwt --coalesce-ms 0".split()
        flags += ["--ping-seconds", str(PING_SECONDS)]
        gateway = stack.enter_context(tidings("gateway", *flags, env={"TIDINGS_JWT_SECRET": SECRET}))
        stack.callback(stop_now, gateway.process)
        stack.push(lambda kind, *_: tell_troubles(gateway) if kind else None)
        time.sleep(SETTLE_SECONDS)
        empty = Held(0, memory.read(memory.tree(gateway.pid)))
        crowd = stack.enter_context(crowds(gateway.ports["gateway"], connections, PER_PROCESS))

        def spent() -> Spent:
            return Spent(*(cpu_seconds(pids) for pids in (memory.tree(gateway.pid), crowd.pids, (broker.pid,))))

        before = spent()
        seconds, some = connected(crowd, connections, gateway.pid)
        connecting = spent()
        full = Held(connections, memory.read(memory.tree(gateway.pid)))
        chosen = random.sample(range(connections), pushes)
        with tqdm(total=pushes, desc="publishing", unit="change") as bar:
            asyncio.run(publish(url, shards, chosen, rate, bar))
        with tqdm(total=pushes, desc="told", unit="push") as bar:
            crowd.wait(lambda: crowd.sum("told") >= pushes, TELL_SECONDS, lambda: update(bar, crowd.sum("told")))
        telling = spent()
        told = crowd.report(TELL_SECONDS, lambda: None)
        arrived = {number for number, _ in told} == set(chosen)
        setting = f"{workers} workers, {shards} shards"
        cpu = [
            Row("CPU while they connected", connecting.since(before), "", f"{seconds:.0f} s of {os.cpu_count()} cores"),
            Row("CPU while they were told", telling.since(connecting), "", "pings included"),
        ]
        return [*held(setting, seconds, empty, some, full), *pushed(chosen, rate, told), *cpu], arrived


def tell_troubles(gateway: Tidings) -> None:
    """What the gateway logged of things that go wrong, for whoever wants to know why a run failed."""
    troubles = [event for event in gateway.logs if event["level"] != "info"]
    sys.stderr.write("".join(f"\n{json.dumps(event)}" for event in troubles[-TROUBLES:]))
    sys.stderr.write(f"\n{len(troubles)} warnings and errors of the gateway, the last of them above\n")


def stop_now(gateway: subprocess.Popen[str]) -> None:
    """Have it stop without a million farewells: a second signal means now."""
    gateway.terminate()
    time.sleep(0.5)
    gateway.terminate()


def held(setting: str, seconds: float, empty: Held, some: Held, full: Held) -> list[Row]:
    """What the connections cost."""
    connections = full.connections
    kernel = full.memory.kernel - empty.memory.kernel
    return [
        Row("connections: JWT, subscribed, distinct accounts", f"{connections:,}", "", setting),
        Row(
            "connected and subscribed in",
            f"{seconds:.0f} s",
            "less than 360 s",
            f"{connections / seconds:,.0f}/s, clients included",
        ),
        Row("user memory of the gateway", gib(full.memory.user), "", f"{gib(empty.memory.user)} without connections"),
        Row(
            "user memory of each connection",
            f"{_each(empty, full):.0f} B",
            "at most 512 B",
            f"of each beyond the first {some.connections:,}: {_each(some, full):.0f} B",
        ),
        Row(
            "kernel memory, both ends of each connection",
            gib(full.memory.kernel),
            "",
            f"{kernel / connections:,.0f} B per connection, {gib(empty.memory.kernel)} before",
        ),
        Row(
            "memory of the machine, clients included",
            gib(empty.memory.available - full.memory.available),
            "24 GiB",
            "marginal",
        ),
    ]


def _each(few: Held, many: Held) -> float:
    return (many.memory.user - few.memory.user) / (many.connections - few.connections)


def pushed(chosen: Sequence[int], rate: float, told: Sequence[tuple[int, float]]) -> list[Row]:
    """Whether everybody was told once of what was theirs, and when."""
    latencies = sorted(latency for _, latency in told)
    heard = {number for number, _ in told}
    lost, twice = len(set(chosen) - heard), len(told) - len(heard)
    return [
        Row(
            f"pushed to {len(chosen):,} random accounts through RabbitMQ",
            f"{len(heard & set(chosen)):,} told",
            f"{len(chosen):,}",
            f"{lost} lost, {twice} told twice, {len(heard - set(chosen))} told without a change",
        ),
        Row(
            "from append to the client",
            f"p50 {latencies[len(latencies) // 2]:.2f} s, p99 {latencies[int(len(latencies) * 0.99)]:.2f} s",
            "p50 at most 1 s, p99 at most 10 s",
            f"the last after {latencies[-1]:.2f} s; {rate:,.0f} changes/s in batches of {BATCH}, --coalesce-ms 0;"
            f" clients read every {NAP_SECONDS * 1000:.0f} ms",
        ),
    ]


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.2f} GiB"


def main() -> int:
    """The exit code: 2 for a machine that cannot hold so many, 1 for a change that did not arrive."""
    parser = argparse.ArgumentParser(prog="python -m bench.million", description="Hold a million connections.")
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=57, help="gateway processes; each holds at most 19,000")
    parser.add_argument("--shards", type=int, default=2, help="every worker reads each of them")
    parser.add_argument("--pushes", type=int, default=100_000, help="accounts that are changed")
    parser.add_argument("--rate", type=float, default=1_000, help="changes a second; every worker decodes all of them")
    parser.add_argument("--save", action="store_true", help="keep the table under bench/results/")
    given = parser.parse_args()
    faults = missing(given.connections)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if faults:
        return 2
    # So that everything that was started is ended by that too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    start = time.monotonic()
    try:
        found, arrived = run(given.connections, given.workers, given.shards, given.pushes, given.rate)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return 130
    text = document([table(found)], time.monotonic() - start, "make bench-million")
    sys.stdout.write(text)
    if given.save:
        sys.stderr.write(f"kept as {save(text)}\n")
    return 0 if arrived else 1


if __name__ == "__main__":
    sys.exit(main())
