"""Dovecot: what telling Tidings costs a delivery, how soon a client is told, what a publisher costs that is away."""

from __future__ import annotations

import json
import os
import select
import signal
import smtplib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.report import Row
from bench.wire import connect, frames
from tests.support.broker import Broker
from tests.support.dovecot import MESSAGE, Dovecot
from tests.support.dovecot_server import RELEASES
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings

DELIVERIES = 300
WARM = 20
AWAY = 100
TOKEN = "token-of-the-bench"
TOLD_SECONDS = 10.0
WAITED_SECONDS = 1.0


class Delivery(NamedTuple):
    """Seconds: until a delivery was answered, the same without Tidings, and from the answer until a client was told."""

    answered: float
    without: float
    told: float


def _deliver(lmtp: smtplib.LMTP) -> tuple[float, float]:
    """Deliver a message to alice; when that began and when it was answered."""
    began = time.monotonic()
    lmtp.sendmail("zoe@mail.example", ["alice"], MESSAGE)
    return began, time.monotonic()


def _told(client: socket.socket) -> float:
    """When the client has been told of a delivery."""
    deadline = time.monotonic() + TOLD_SECONDS
    while True:
        if not select.select([client], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError(f"a delivery was not told within {TOLD_SECONDS:.0f} s")
        for opcode, payload in frames(client.recv(65536)):
            if opcode == 1 and "EmailDelivery" in json.loads(payload)["changed"].get("alice", {}):
                return time.monotonic()


def _deliveries(telling: Dovecot, silent: Dovecot, gateway_port: int) -> Iterator[Delivery]:
    """Deliveries to both servers in turn."""
    client = connect(gateway_port, "account=alice")
    with telling.lmtp() as lmtp, silent.lmtp() as without:
        for number in range(WARM + DELIVERIES):
            began, answered = _deliver(lmtp)
            told = _told(client)
            alone_began, alone_answered = _deliver(without)
            if number >= WARM:
                yield Delivery(answered - began, alone_answered - alone_began, told - answered)
    client.close()


def _milliseconds(seconds: list[float], share: float = 0.5) -> str:
    return f"{sorted(seconds)[int((len(seconds) - 1) * share)] * 1000:.1f} ms"


def _telling(version: str, directory: Path) -> list[Row]:
    flags = ("--maildir", f"{directory}/mail", "--state-dir", f"{directory}/state", "--coalesce-ms", "0")
    with ExitStack() as stack:
        up = stack.enter_context(tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}))
        ingest = up.ports["ingest"]
        telling = stack.enter_context(Dovecot(version, directory / "telling", ingest, TOKEN))
        silent = stack.enter_context(Dovecot(version, directory / "silent", ingest, TOKEN, "nothing"))
        taken = list(_deliveries(telling, silent, up.ports["gateway"]))
    answered, without = [each.answered for each in taken], [each.without for each in taken]
    told = [each.told for each in taken]
    added = median(answered) - median(without)
    return [
        Row(
            f"Dovecot {version}, LMTP delivery answered, {DELIVERIES} deliveries",
            f"p50 {_milliseconds(answered)}, p99 {_milliseconds(answered, 0.99)}: {added * 1000:+.1f} ms",
            "adds less than 2 ms",
            f"without Tidings: p50 {_milliseconds(without)}, p99 {_milliseconds(without, 0.99)}",
        ),
        Row(
            f"Dovecot {version}, from the answer of LMTP until a client is told, --coalesce-ms 0",
            f"p50 {_milliseconds(told)}, p99 {_milliseconds(told, 0.99)}",
            "p50 below 20 ms",
            "negative: told before the answer",
        ),
    ]


def _away(version: str, directory: Path, how: signal.Signals) -> list[float]:
    """Seconds that each delivery takes while the publisher is killed, or stopped."""
    (port,) = free_ports(1)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        flags = ("--bus", broker.url, "--state-dir", f"{directory}/state", "--ingest-port", str(port))
        publisher = Tidings("publisher", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN})
        stack.callback(publisher.kill)
        publisher.wait_started()
        dovecot = stack.enter_context(Dovecot(version, directory / "dovecot", port, TOKEN))
        with dovecot.lmtp() as lmtp:
            for _ in range(WARM):
                _deliver(lmtp)
            os.kill(publisher.pid, how)
            return [answered - began for began, answered in (_deliver(lmtp) for _ in range(AWAY))]


def measure() -> list[Row]:
    """Both versions, each in a root of its Debian release."""
    rows = []
    for version in sorted(RELEASES):
        with TemporaryDirectory() as directory:
            rows += _telling(version, Path(directory))
        for how, target in ((signal.SIGKILL, "each below 50 ms"), (signal.SIGSTOP, "three of a second at most")):
            with TemporaryDirectory() as directory:
                took = _away(version, Path(directory), how)
            waited = sum(seconds >= WAITED_SECONDS for seconds in took)
            rows.append(
                Row(
                    f"Dovecot {version}, {AWAY} LMTP deliveries with the publisher gone ({how.name})",
                    f"p50 {_milliseconds(took)}, longest {_milliseconds(took, 1.0)}, {waited} of a second or more",
                    target,
                )
            )
    return rows
