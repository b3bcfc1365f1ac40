"""What profiling costs: CPU of pushes with and without it, and what clients of a full gateway notice of it."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext

import uvloop

from asyncio_pprof.pprof.cpu import CpuSampler
from asyncio_pprof.pprof.stalls import StallWatch
from asyncio_pprof.pprof.wall import WallSampler
from bench.crowd import Crowd, now_state
from bench.peers import Server
from bench.peers.tidings import Gateway
from bench.push import CONNECTIONS, DISTINCT, PER_BATCH, bench_of
from bench.rate import timed
from bench.report import Row
from bench.trial import LATENCY_BATCH, MANY, RATE, account
from bench.usage import cores, on_core

BLOCKS = 60
PUSHES = 4
"""Pushes to all clients in one block. Many short blocks: neighbours on the machine disturb both of a pair alike."""
SECONDS = 8.0
PROFILES = ("profile?seconds=5", "wall?seconds=5", "goroutine", "fd", "block")


@contextmanager
def _cpu(sampler: CpuSampler) -> Iterator[None]:
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()


@contextmanager
def _wall() -> Iterator[None]:
    sampler = WallSampler()
    try:
        yield
    finally:
        sampler.stop()


async def _ratios() -> dict[str, list[float]]:
    """CPU of the whole process per push, by what is on, as a ratio to nothing in the neighbouring block."""
    sampler = CpuSampler()
    sampler.install()
    loop = asyncio.get_running_loop()
    states: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "nothing": nullcontext,
        "the watch on the loop": lambda: StallWatch().watching(loop),
        "a CPU profile": lambda: _cpu(sampler),
        "a wall profile": _wall,
    }
    ratios: dict[str, list[float]] = {name: [] for name in states}
    async with bench_of(DISTINCT) as bench:

        async def block(state: AbstractContextManager[None]) -> float:
            spent = []
            with state:
                for _ in range(PUSHES):
                    entries = bench.batches(DISTINCT, max(PER_BATCH))
                    start = time.process_time()
                    await bench.push(entries)
                    spent.append(time.process_time() - start)
                    await bench.clients.read(CONNECTIONS)
            return statistics.fmean(spent)

        await block(nullcontext())
        for turn in range(BLOCKS):
            for name, state in states.items():
                # In turn first and second, so that what drifts drifts for both.
                if turn % 2:
                    bare, with_it = await block(nullcontext()), await block(state())
                else:
                    with_it, bare = await block(state()), await block(nullcontext())
                ratios[name].append(with_it / bare)
    return ratios


def _spread(ratios: list[float]) -> str:
    low, middle, high = (100 * (ratio - 1) for ratio in statistics.quantiles(ratios, n=4))
    return f"{middle:+.1f}% (half of the pairs between {low:+.1f}% and {high:+.1f}%)"


def _idle() -> float:
    """The share of a core that the watch takes of a loop that does nothing."""

    async def idle(seconds: float) -> float:
        with StallWatch().watching(asyncio.get_running_loop()):
            start = time.process_time()
            await asyncio.sleep(seconds)
            return (time.process_time() - start) / seconds

    return uvloop.run(idle(10.0))


def _full() -> list[Row]:
    """Latencies of clients of a gateway with 15,000 connections, while each profile is taken."""
    server_core, load_core = cores()
    peer = Gateway()
    rows = []
    with ExitStack() as stack:
        with on_core(server_core):
            server = stack.enter_context(peer.running())
        stack.enter_context(on_core(load_core))
        crowd = stack.enter_context(closing(Crowd(server.port, server.opened)))
        crowd.publisher(server.publishing, server.hello)
        crowd.open([server.opening(account(number)) for number in range(MANY)])

        def told() -> str:
            latencies, share = _at_rate(server, crowd, MANY)
            middle, last = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
            return f"p50 {middle:.1f} ms, p99 {last:.1f} ms, {100 * share:.1f}% of a core"

        told()
        without = told()
        for path in PROFILES:
            took: list[float] = []
            taking = threading.Thread(target=_take, args=(server.admin, path, took))
            taking.start()
            with_it = told()
            taking.join()
            rows.append(
                Row(
                    f"{MANY:,} connections, {RATE:,} changes/s for {SECONDS:.0f} s, meanwhile {path}",
                    f"{with_it}; answered after {took[0]:.2f} s",
                    "",
                    f"without: {without}",
                )
            )
    return rows


def _at_rate(server: Server, crowd: Crowd, accounts: int) -> tuple[list[float], float]:
    """Change accounts at RATE, each once, for nothing is merged then: sorted latencies, the share of a core it took."""
    order = random.sample(range(accounts), int(RATE * SECONDS))
    begun = len(crowd.latencies)
    crowd.timing = True
    start, due = time.monotonic(), crowd.told + len(order)
    with timed(server.pids) as rate:
        for at in range(0, len(order), LATENCY_BATCH):
            crowd.idle(start + at / RATE - time.monotonic())
            chosen = [account(number) for number in order[at : at + LATENCY_BATCH]]
            crowd.publish(server.changes(chosen, now_state()))
        crowd.run(lambda: crowd.told >= due)
    crowd.timing = False
    return sorted(crowd.latencies[begun:]), rate.server_share


def _take(port: int, path: str, took: list[float]) -> None:
    start = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/pprof/{path}") as answer:
        assert answer.read(2) == b"\x1f\x8b"
        answer.read()
    took.append(time.monotonic() - start)


def measure() -> list[Row]:
    """What is always on, and what a profile costs while it is taken."""
    gc.collect()
    ratios = uvloop.run(_ratios())
    targets = {"the watch on the loop": "less than 2%", "a CPU profile": "at most 5%", "a wall profile": "at most 5%"}
    rows = [
        Row(
            f"CPU per push, {name} on",
            _spread(found),
            targets.get(name, "the noise of this run"),
            f"the same pushes without, in {BLOCKS} neighbouring blocks",
        )
        for name, found in ratios.items()
    ]
    rows.append(Row("CPU of the watch on an idle loop", f"{100 * _idle():.2f}% of a core", "less than 2%"))
    return [*rows, *_full()]
