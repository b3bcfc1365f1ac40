"""What others notice of clients that do not read: their latencies with and without them, in turns."""

from __future__ import annotations

import json
import multiprocessing
import socket
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory

from bench.latency import TOKEN, Sample, milliseconds, sample
from bench.report import Row
from bench.wire import SUBSCRIBE, request
from tests.support.processes import Tidings, tidings

STALLED = 1_000
STORM_RATE = 2_000
EVENTS_PER_REQUEST = 20
RECEIVE_BUFFER_BYTES = 4 * 1024
WIDE = {f"Type{number}": "s" * 250 for number in range(8)}
"""Of a change that fills buffers soon."""
BLOCK_SECONDS = 30.0
TURNS = 2


def _account(number: int) -> str:
    return f"stalled{number % STALLED}@mail.example"


def _post(port: int, first: int, changed: dict[str, str]) -> None:
    """One POST of the next changes of the accounts whose clients do not read."""
    event = {"specversion": "1.0", "source": "bench", "type": "mail.FlagsSet", "data": {"changed": changed}}
    events = [{**event, "id": f"{n}", "subject": _account(n)} for n in range(first, first + EVENTS_PER_REQUEST)]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/cloudevents-batch+json"}
    url = f"http://127.0.0.1:{port}/v1/changes"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(events).encode(), headers)):
        pass


def _storm(port: int) -> None:
    """Changes that wait for those clients, whether they are there or not."""
    start, sent = time.monotonic(), 0
    while True:
        _post(port, sent, {"Email": str(sent)})
        sent += EVENTS_PER_REQUEST
        time.sleep(max(0.0, start + sent / STORM_RATE - time.monotonic()))


def _stall(port: int, control: Connection) -> None:
    """Subscribe, and read nothing."""
    socks = []
    for number in range(STALLED):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.connect(("127.0.0.1", port))
        sock.sendall(request(f"account={_account(number)}") + SUBSCRIBE)
        socks.append(sock)
    control.send(len(socks))
    control.recv()


def _blocked(process: Tidings) -> int:
    with urllib.request.urlopen(process.url("probe", "/metrics")) as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("tidings_connections_blocked "))))


def _block(process: Tidings) -> None:
    """Publish until none of them takes any more."""
    deadline = time.monotonic() + BLOCK_SECONDS
    sent = 0
    while _blocked(process) < STALLED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {_blocked(process)} clients are blocked")
        for _ in range(STALLED // EVENTS_PER_REQUEST):
            _post(process.ports["ingest"], sent, WIDE)
            sent += EVENTS_PER_REQUEST


@contextmanager
def _stalled(process: Tidings) -> Iterator[None]:
    """Meanwhile there are clients that do not read, all of them blocked."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    crowd = context.Process(target=_stall, args=(process.ports["gateway"], theirs), daemon=True)
    crowd.start()
    try:
        if not ours.poll(60):
            raise TimeoutError(f"no {STALLED} clients within 60 s")
        _block(process)
        yield
        if _blocked(process) < STALLED:
            raise RuntimeError("some clients that do not read were closed before the end")
    finally:
        crowd.terminate()
        crowd.join()
    process.wait(lambda: not _blocked(process))


@contextmanager
def _stormed(process: Tidings) -> Iterator[None]:
    storm = multiprocessing.get_context("spawn").Process(target=_storm, args=(process.ports["ingest"],), daemon=True)
    storm.start()
    try:
        yield
    finally:
        storm.terminate()
        storm.join()


def _p99(samples: Sequence[Sample]) -> float:
    return sum(milliseconds(taken.seconds, 0.99) for taken in samples) / len(samples)


def measure() -> list[Row]:
    """Latency of those who read, beside clients that do not."""
    beside: list[Sample] = []
    alone: list[Sample] = []
    with TemporaryDirectory() as state:
        flags = ("--maildir", f"{state}/mail", "--state-dir", f"{state}/state", "--coalesce-ms", "0")
        with tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}) as process:
            ports = process.ports["gateway"], process.ports["ingest"]
            for _ in range(TURNS):
                with _stormed(process):
                    alone.append(sample(*ports))
                with _stalled(process), _stormed(process):
                    beside.append(sample(*ports))
    mine, reference = _p99(beside), _p99(alone)
    lost = sum(taken.sent - taken.told for taken in beside)
    return [
        Row(
            f"p99 from change to client beside {STALLED:,} clients that do not read while {STORM_RATE:,} changes/s "
            "go to their accounts, --coalesce-ms 0",
            f"{mine / reference:.2f} x ({mine:.1f} ms)",
            "1 x",
            f"the same changes without those clients: {reference:.1f} ms; in {TURNS} turns each {lost} were not told",
        )
    ]
