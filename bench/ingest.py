"""What ingest costs a publisher: a log entry without HTTP, and requests beside a bare endpoint with the same body."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import uvloop
from prometheus_client import CollectorRegistry

from asyncio_pprof.traces import Family, Sampler
from bench.peers import post
from bench.peers.fastapi_ws import uvicorn
from bench.rate import Rate, timed
from bench.report import Row
from bench.usage import cores, on_core
from tests.support.broker import Broker
from tests.support.processes import tidings
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.publisher.batch_traces import BatchTraces
from tidings.publisher.batcher import Batcher
from tidings.publisher.metrics import PublisherMetrics
from tidings.wire.change import Change
from tidings.wire.shard import DEFAULT_SHARDS, shard_of

ENTRIES = 12_000
ROUNDS = 3
CONNECTIONS = 64
SECONDS = 2.5
BATCH = 100
STATE = "0123456789abcdef"
TOKEN = "token-of-the-bench"
WANTED = {1: 6_000, BATCH: 600}
"""Requests a second of CPU, by events in one."""
RATIO = 1.5


def _accounts() -> list[str]:
    """One account of each shard."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < DEFAULT_SHARDS:
        account = f"user{number}@mail.example"
        found.setdefault(shard_of(account, DEFAULT_SHARDS), account)
        number += 1
    return list(found.values())


async def _appended(url: str) -> float:
    """CPU seconds of the publisher's thread for an entry of one change, confirmed; all shards have one on its way."""
    log = RabbitMQLog(url, DEFAULT_SHARDS)
    await log.open()
    batcher = Batcher(log, PublisherMetrics(CollectorRegistry()), BatchTraces(Family("batches", ""), Sampler()))
    await batcher.start()
    while not log.can_append:
        await asyncio.sleep(0.05)

    async def source(account: str) -> None:
        change = Change(account, {"Email": STATE}, "FlagsSet", "1", "bench", None, time.time())
        for _ in range(ENTRIES // DEFAULT_SHARDS):
            await batcher.submit((change,))

    spent = time.thread_time()
    await asyncio.gather(*map(source, _accounts()))
    spent = time.thread_time() - spent
    await batcher.stop()
    await log.close()
    return spent / (ENTRIES // DEFAULT_SHARDS * DEFAULT_SHARDS)


def _event(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "bench",
        "type": "mail.FlagsSet",
        "subject": f"user{number}@mail.example",
        "data": {"changed": {"Email": STATE}},
    }


def _request(connection: int, events: int) -> bytes:
    """What a connection sends again and again: events of accounts of its own."""
    told = [_event(connection * events + index) for index in range(events)]
    body, kind = (told[0], "cloudevents") if events == 1 else (told, "cloudevents-batch")
    fields = (f"Authorization: Bearer {TOKEN}", f"Content-Type: application/{kind}+json")
    return post("/v1/changes", json.dumps(body).encode(), *fields)


def _posted(pid: int, port: int, events: int) -> Rate:
    """Requests over kept connections, the next on each as soon as one is answered. Raises RuntimeError unless 202."""
    with ExitStack() as stack:
        epoll = stack.enter_context(select.epoll())
        requests: dict[int, bytes] = {}
        answers: dict[int, bytes] = {}
        for number in range(CONNECTIONS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            epoll.register(sock.fileno(), select.EPOLLIN)
            requests[sock.fileno()] = _request(number, events)
        with timed((pid,)) as rate:
            for fd, request in requests.items():
                os.write(fd, request)
            waiting, end = CONNECTIONS, time.monotonic() + SECONDS
            while waiting:
                for fd, _ in epoll.poll(1.0):
                    answer = answers.pop(fd, b"") + os.read(fd, 4096)
                    if not answer.startswith(b"HTTP/1.1 202 "):
                        raise RuntimeError(f"answered {answer[:200]!r}")
                    if not answer.endswith(b"}"):
                        # uvicorn writes head and body one after the other.
                        answers[fd] = answer
                        continue
                    rate.count += 1
                    if time.monotonic() < end:
                        os.write(fd, requests[fd])
                    else:
                        waiting -= 1
    return rate


class _Pair(NamedTuple):
    """The same load on the publisher and on the bare endpoint, by turns: of each the median round by its cost."""

    ours: Rate
    bare: Rate

    @property
    def ratio(self) -> float:
        """How much more a request costs here."""
        return self.bare.per_core / self.ours.per_core


def _middle(rates: Sequence[Rate]) -> Rate:
    return sorted(rates, key=lambda rate: rate.per_core)[len(rates) // 2]


def _requests(broker: Broker, directory: Path) -> dict[int, _Pair]:
    """By events in a request, the publisher over RabbitMQ beside the bare endpoint, one core for either."""
    server_core, load_core = cores()
    env = {"TIDINGS_INGEST_TOKENS": TOKEN}
    flags = ("--bus", broker.fresh_url(), "--state-dir", str(directory))
    with ExitStack() as stack:
        with on_core(server_core):
            publisher = stack.enter_context(tidings("publisher", *flags, env=env))
            bare, port = stack.enter_context(uvicorn("ingest"))
        publisher.wait_connected()
        stack.enter_context(on_core(load_core))
        pairs = {}
        for events in (1, BATCH):
            ours, theirs = [], []
            for _ in range(ROUNDS):
                theirs.append(_posted(bare, port, events))
                ours.append(_posted(publisher.pid, publisher.ports["ingest"], events))
            pairs[events] = _Pair(_middle(ours), _middle(theirs))
    return pairs


def _row(events: int, pair: _Pair) -> Row:
    ours = pair.ours.per_core
    wanted = f"at least {WANTED[events]:,} /s, or {RATIO} x the bare endpoint's cost"
    told = f", {ours * events:,.0f} changes/s" if events > 1 else ""
    return Row(
        f"ingest over HTTP, {events} change{'s' if events > 1 else ''} a request, RabbitMQ, per second of CPU",
        f"{ours:,.0f} requests/s{told}",
        wanted,
        f"bare Starlette endpoint, same body: {pair.bare.per_core:,.0f} requests/s, x{pair.ratio:.2f}",
    )


def measure() -> list[Row]:
    """An entry without HTTP, and requests of one change and of many."""
    with TemporaryDirectory() as directory, Broker(vhosts=ROUNDS + 1) as broker:
        with on_core(cores()[0]):
            entries = [uvloop.run(_appended(broker.fresh_url())) for _ in range(ROUNDS)]
        pairs = _requests(broker, Path(directory))
    return [
        Row(
            f"CPU of the publisher for a confirmed log entry of one change, {DEFAULT_SHARDS} shards, RabbitMQ",
            f"{statistics.median(entries) * 1e6:.0f} us",
            "at most 60 us",
        ),
        *(_row(events, pair) for events, pair in pairs.items()),
    ]
