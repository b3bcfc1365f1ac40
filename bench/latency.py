"""How long a change takes to its client: from before its POST until the client has read the StateChange."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import select
import time
from contextlib import ExitStack
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
WARM_SECONDS = 3.0
SECONDS = 15.0
UNTIL_LAST = 5.0
TOKEN = "bench"


def _account(number: int) -> str:
    return f"user{number}@mail.example"


def _listen(port: int, control: Connection) -> None:
    """Read StateChanges of one account each; the state is the time of the change on the shared monotonic clock."""
    parked = select.epoll()
    socks = {}
    for number in range(CLIENTS):
        sock = connect(port, f"account={_account(number)}")
        socks[sock.fileno()] = sock
        parked.register(sock.fileno(), select.EPOLLIN)
    control.send(CLIENTS)
    taken: list[tuple[float, float]] = []
    while not control.poll(0):
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
    control.send(taken)


def _request(first: int) -> bytes:
    """One POST of the next changes, each stamped with its own present time."""
    events = [
        {
            "specversion": "1.0",
            "id": f"{first + index}",
            "source": "bench",
            "type": "mail.FlagsSet",
            "subject": _account((first + index) % CLIENTS),
            "data": {"changed": {"Email": repr(time.monotonic())}},
        }
        for index in range(EVENTS_PER_REQUEST)
    ]
    body = json.dumps(events).encode()
    head = (
        f"POST /v1/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/cloudevents-batch+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _post(port: int, requests: asyncio.Queue[int]) -> int:
    """Send what is asked for over one kept connection; how many were not answered 202."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    refused = 0
    while (first := await requests.get()) >= 0:
        writer.write(_request(first))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        refused += b" 202 " not in head.split(b"\r\n", 1)[0]
    writer.close()
    return refused


async def _load(port: int, seconds: float) -> tuple[int, int]:
    """Post at the rate for so long, open loop over eight connections; changes sent, requests refused."""
    requests: asyncio.Queue[int] = asyncio.Queue()
    posters = [asyncio.create_task(_post(port, requests)) for _ in range(8)]
    start, sent = time.monotonic(), 0
    while sent < RATE * seconds:
        requests.put_nowait(sent)
        sent += EVENTS_PER_REQUEST
        await asyncio.sleep(max(0.0, start + sent / RATE - time.monotonic()))
    for _ in posters:
        requests.put_nowait(-1)
    return sent, sum(await asyncio.gather(*posters))


class Sample(NamedTuple):
    """Seconds from a change to its client, ascending, and what was sent to get them."""

    seconds: list[float]
    told: int
    sent: int
    refused: int

    def milliseconds(self, share: float) -> float:
        """The latency that this share of the changes did not exceed."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))] * 1000


def sample(gateway_port: int, ingest_port: int) -> Sample:
    """Load these ports and take the latencies once it runs steadily."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    listener = context.Process(target=_listen, args=(gateway_port, theirs), daemon=True)
    listener.start()
    try:
        if not ours.poll(120):
            raise TimeoutError(f"no {CLIENTS} clients within 120 s")
        ours.recv()
        start = time.monotonic()
        sent, refused = asyncio.run(_load(ingest_port, WARM_SECONDS + SECONDS))
        time.sleep(UNTIL_LAST)
        ours.send(None)
        taken: list[tuple[float, float]] = ours.recv()
    finally:
        listener.terminate()
        listener.join()
    latencies = sorted(took for changed, took in taken if changed >= start + WARM_SECONDS)
    return Sample(latencies, len(taken), sent, refused)


def _through(what: str, gateway_port: int, ingest_port: int, target: str) -> Row:
    taken = sample(gateway_port, ingest_port)
    return Row(
        f"change to client, {RATE:,} changes/s in POSTs of {EVENTS_PER_REQUEST}, {CLIENTS:,} clients, "
        f"--coalesce-ms 0, {what}",
        f"p50 {taken.milliseconds(0.5):.1f} ms, p99 {taken.milliseconds(0.99):.1f} ms",
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
