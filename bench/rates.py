"""From a change to its client through RabbitMQ, at rates up to what this machine can do, clients and load included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx2

from bench.latency import CLIENTS, EVENTS_PER_REQUEST, TOKEN, Taken, listening, load, milliseconds
from bench.usage import cpu_seconds
from tests.support.broker import Broker
from tests.support.metrics import Scrape
from tests.support.processes import Tidings, tidings

RATES: Final = (250, 1_000, 2_500, 5_000, 7_500, 10_000, 15_000, 20_000)
TARGETS: Final = {1_000: "p99 at most 5 ms", 5_000: "p99 at most 25 ms", 10_000: "nobody behind"}
WARM_SECONDS: Final = 1.5
SECONDS: Final = 6.0
LATEST_SECONDS: Final = 10.0
"""How long the last changes of a step may take: who is later is lost, or the rate more than this machine can do."""
SATURATED: Final = 1.0
"""A p99 in seconds from which on changes only queue, and no higher rate is tried."""
KEPT_UP: Final = 0.9
"""A load that reaches less of the rate than this waits for its answers."""
LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Step:
    """One rate, in changes a second, and what the load reached. `cpu`: the cores of publisher, gateway and broker.

    A change may be `merged` into a later one of its account; `behind` are accounts whose last change was not told.
    """

    rate: int
    reached: float
    seconds: list[float] = field(repr=False)
    sent: int
    merged: int
    behind: int
    fill: float
    cpu: tuple[float, float, float]

    @property
    def saturated(self) -> bool:
        """Whether it was more than can be done."""
        late = milliseconds(self.seconds, 0.99) > SATURATED * 1000
        return late or self.behind > 0 or self.reached < KEPT_UP * self.rate


@dataclass(frozen=True)
class _Installation:
    publisher: Tidings
    gateway: Tidings
    broker: Broker

    def cpu(self) -> list[float]:
        return [cpu_seconds((pid,)) for pid in (self.publisher.pid, self.gateway.pid, self.broker.pid)]

    def written(self) -> tuple[float, float]:
        """Changes and entries that the log has confirmed."""
        scrape = Scrape(httpx2.get(self.publisher.url("probe", "/metrics")).text)
        entries = scrape.by("tidings_publisher_batches_total", "outcome").get("confirmed", 0.0)
        return scrape.value("tidings_publisher_changes_total"), entries


def measure() -> list[Step]:
    """Each rate in turn, until one is more than can be done."""
    steps: list[Step] = []
    env = {"TIDINGS_INGEST_TOKENS": TOKEN}
    with TemporaryDirectory() as directory, ExitStack() as stack:
        broker = stack.enter_context(Broker())
        bus = ("--bus", broker.url)
        publisher = stack.enter_context(tidings("publisher", *bus, "--state-dir", str(Path(directory)), env=env))
        gateway = stack.enter_context(tidings("gateway", *bus, "--coalesce-ms", "0"))
        for process in (publisher, gateway):
            process.wait_connected()
        installation = _Installation(publisher, gateway, broker)
        take = stack.enter_context(listening(gateway.ports["gateway"]))
        for rate in RATES:
            steps.append(_step(rate, installation, take))
            if steps[-1].saturated:
                break
    return steps


def _step(rate: int, installation: _Installation, take: Callable[[], Taken]) -> Step:
    changes, entries = installation.written()
    before, start = installation.cpu(), time.monotonic()
    sent = asyncio.run(load(installation.publisher.ports["ingest"], rate, WARM_SECONDS + SECONDS))
    spent = time.monotonic() - start
    cpu = [(after - earlier) / spent for after, earlier in zip(installation.cpu(), before, strict=True)]
    if sent.refused:
        raise RuntimeError(f"{sent.refused} requests were refused at {rate} changes/s")
    taken, deadline = take(), time.monotonic() + LATEST_SECONDS
    while (behind := sent.latest.difference(changed for changed, _ in taken)) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        taken += take()
    after, confirmed = installation.written()
    latencies = sorted(took for changed, took in taken if changed >= start + WARM_SECONDS)
    return Step(
        rate,
        sent.changes / spent,
        latencies,
        sent.changes,
        sent.changes - len(taken),
        len(behind),
        (after - changes) / (confirmed - entries),
        (cpu[0], cpu[1], cpu[2]),
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def table(steps: Sequence[Step]) -> str:
    """The steps as a Markdown table."""
    lines = [
        f"Change to client through RabbitMQ, POSTs of {EVENTS_PER_REQUEST}, {CLIENTS:,} clients of distinct accounts, "
        "--coalesce-ms 0. Clients and load run on the same cores.",
        "",
        _row(
            *("changes/s", "reached", "p50", "p99", "p99.9", "sent", "merged", "accounts behind"),
            *("changes an entry", "cores of publisher, gateway, broker", "target"),
        ),
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for step in steps:
        late = (f"{milliseconds(step.seconds, share):.1f} ms" for share in (0.5, 0.99, 0.999))
        counts = (f"{count:,}" for count in (step.sent, step.merged, step.behind))
        cores = ", ".join(f"{share:.2f}" for share in step.cpu)
        target = TARGETS.get(step.rate, "")
        lines.append(_row(f"{step.rate:,}", f"{step.reached:,.0f}", *late, *counts, f"{step.fill:.1f}", cores, target))
    return "\n".join(lines) + "\n"
