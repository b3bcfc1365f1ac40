"""How long a change takes to its client: from before its POST until the client has read the StateChange."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.report import Row
from bench.wire import PONG, connect, frames
from tests.support.broker import Broker
from tests.support.processes import tidings

CLIENTS = 1_000
RATE = 1_000
EVENTS_PER_REQUEST = 10
ORDER = random.Random(0).sample(range(CLIENTS), CLIENTS)
"""In which accounts change: names that differ in a digit are in few shards."""
POSTERS = 32
"""Connections of the load: few would each wait for a confirm, and hide what a higher rate does."""
WARM_SECONDS = 3.0
SECONDS = 15.0
UNTIL_LAST = 5.0
TOKEN = "token-of-the-bench"


def _account(number: int) -> str:
    return f"user{number}@mail.example"


Taken = list[tuple[float, float]]
"""Of each change that was told, when it was made and how long it took, in seconds on the shared monotonic clock."""


def _listen(port: int, control: Connection) -> None:
    """Read StateChanges of one account each, whose state is when it changed; hand over what was told when asked to."""
    parked = select.epoll()
    socks = {}
    for number in range(CLIENTS):
        sock = connect(port, f"account={_account(number)}")
        socks[sock.fileno()] = sock
        parked.register(sock.fileno(), select.EPOLLIN)
    control.send(CLIENTS)
    taken: Taken = []
    while True:
        if control.poll(0):
            control.recv()
            control.send(taken)
            taken = []
        for fd, _ in parked.poll(0.1):
            data = socks[fd].recv(65536)
            now = time.monotonic()
            for opcode, payload in frames(data):
                if opcode == 9:
                    socks[fd].send(PONG)
                    continue
                for states in json.loads(payload)["changed"].values():
                    changed = float(states["Email"])
                    taken.append((changed, now - changed))


def _request(first: int, latest: dict[int, float]) -> bytes:
    """One POST of the next changes, each stamped with its own present time; `latest` is the last stamp by account."""
    events = []
    for number in range(first, first + EVENTS_PER_REQUEST):
        account = ORDER[number % CLIENTS]
        latest[account] = stamp = time.monotonic()
        events.append(
            {
                "specversion": "1.0",
                "id": f"{number}",
                "source": "bench",
                "type": "mail.FlagsSet",
                "subject": _account(account),
                "data": {"changed": {"Email": repr(stamp)}},
            }
        )
    body = json.dumps(events).encode()
    head = (
        f"POST /v1/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/cloudevents-batch+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _post(port: int, requests: asyncio.Queue[int], latest: dict[int, float]) -> int:
    """Send what is asked for over one kept connection; how many were not answered 202."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    refused = 0
    while (first := await requests.get()) >= 0:
        writer.write(_request(first, latest))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        refused += b" 202 " not in head.split(b"\r\n", 1)[0]
    writer.close()
    return refused


class Sent(NamedTuple):
    """Changes sent, requests refused, and when each account changed last."""

    changes: int
    refused: int
    latest: set[float]


async def load(port: int, rate: float, seconds: float) -> Sent:
    """Post so many changes a second for so long, open loop over several connections."""
    requests: asyncio.Queue[int] = asyncio.Queue()
    latest: dict[int, float] = {}
    posters = [asyncio.create_task(_post(port, requests, latest)) for _ in range(POSTERS)]
    start, sent = time.monotonic(), 0
    while sent < rate * seconds:
        requests.put_nowait(sent)
        sent += EVENTS_PER_REQUEST
        await asyncio.sleep(max(0.0, start + sent / rate - time.monotonic()))
    for _ in posters:
        requests.put_nowait(-1)
    return Sent(sent, sum(await asyncio.gather(*posters)), set(latest.values()))


@contextmanager
def listening(gateway_port: int) -> Iterator[Callable[[], Taken]]:
    """The clients, in a process of their own; what is yielded gives what they were told since the last time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    listener = context.Process(target=_listen, args=(gateway_port, theirs), daemon=True)
    listener.start()

    def take() -> Taken:
        ours.send(None)
        taken: Taken = ours.recv()
        return taken

    try:
        if not ours.poll(120):
            raise TimeoutError(f"no {CLIENTS} clients within 120 s")
        ours.recv()
        yield take
    finally:
        listener.terminate()
        listener.join()


def milliseconds(seconds: Sequence[float], share: float) -> float:
    """Of latencies in ascending order, the one that this share of the changes did not exceed."""
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))] * 1000


class Sample(NamedTuple):
    """Seconds from a change to its client, ascending, and what was sent to get them."""

    seconds: list[float]
    told: int
    sent: int
    refused: int


def sample(gateway_port: int, ingest_port: int) -> Sample:
    """Load these ports and take the latencies once it runs steadily."""
    with listening(gateway_port) as take:
        start = time.monotonic()
        sent = asyncio.run(load(ingest_port, RATE, WARM_SECONDS + SECONDS))
        time.sleep(UNTIL_LAST)
        taken = take()
    latencies = sorted(took for changed, took in taken if changed >= start + WARM_SECONDS)
    return Sample(latencies, len(taken), sent.changes, sent.refused)


def _through(what: str, gateway_port: int, ingest_port: int, target: str) -> Row:
    taken = sample(gateway_port, ingest_port)
    return Row(
        f"change to client, {RATE:,} changes/s in POSTs of {EVENTS_PER_REQUEST}, {CLIENTS:,} clients, "
        f"--coalesce-ms 0, {what}",
        f"p50 {milliseconds(taken.seconds, 0.5):.1f} ms, p99 {milliseconds(taken.seconds, 0.99):.1f} ms",
        target,
        f"{taken.told:,} of {taken.sent:,} changes told, {taken.refused} requests refused",
    )


def measure() -> list[Row]:
    """Latency over the log in memory, and over RabbitMQ with a process for each service."""
    rows = []
    env = {"TIDINGS_INGEST_TOKENS": TOKEN}
    with TemporaryDirectory() as directory:
        state = Path(directory)
        flags = ("--maildir", f"{state}/mail", "--state-dir", f"{state}/state", "--coalesce-ms", "0")
        with tidings("up", *flags, env=env) as process:
            rows.append(_through("memory, one process", process.ports["gateway"], process.ports["ingest"], ""))
        with ExitStack() as stack:
            broker = stack.enter_context(Broker())
            bus = ("--bus", broker.url)
            publisher = stack.enter_context(tidings("publisher", *bus, "--state-dir", f"{state}/publisher", env=env))
            gateway = stack.enter_context(tidings("gateway", *bus, "--coalesce-ms", "0"))
            for process in (publisher, gateway):
                process.wait_connected()
            rows.append(_through("RabbitMQ", gateway.ports["gateway"], publisher.ports["ingest"], "p99 at most 10 ms"))
    return rows
