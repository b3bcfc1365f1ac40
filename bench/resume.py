"""A gateway is killed under a crowd that then comes back at once: how long until all are answered, and nothing lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import select
import signal
import socket
import time
import urllib.request
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.report import Row
from bench.usage import children, cpu_seconds
from bench.wire import request
from tests.support.broker import Broker
from tests.support.frames import masked
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings

CLIENTS = 20_000
PROCESSES = 2
"""Of clients, and workers of the gateway: none may open more than 20,000 files."""
CHANGED = 1_000
"""Accounts that something happens to while there is no gateway."""
EVENTS_PER_REQUEST = 500
AT_ONCE = 512
"""Connections of one process that have no answer yet."""
DEADLINE_SECONDS = 120.0
TOKEN = "token-of-the-bench"
STATE = "missed"
_PUSH_STATE = re.compile(rb'"pushState":"([^"]*)"\}')


def _account(number: int) -> str:
    return f"user{number}@mail.example"


class Answers(NamedTuple):
    """What came of one visit: seconds until the last was answered, who was told what, and each one's cursor."""

    seconds: float
    told: set[int]
    resynchronised: set[int]
    cursors: dict[int, str]


def _visit(port: int, cursors: dict[int, str | None], socks: list[socket.socket]) -> Answers:
    """Connect everybody at once, and read until each has its first StateChange; the sockets stay open."""
    waiting, parked = list(cursors.items()), select.epoll()
    numbers: dict[int, tuple[int, socket.socket, bytes]] = {}
    start = time.monotonic()
    told: set[int] = set()
    fresh: dict[int, str] = {}
    resynchronised: set[int] = set()
    while len(fresh) < len(cursors):
        if time.monotonic() - start > DEADLINE_SECONDS:
            raise TimeoutError(f"{len(fresh)} of {len(cursors)} clients answered")
        while waiting and len(numbers) < AT_ONCE:
            number, cursor = waiting.pop()
            source = f"127.0.2.{1 + number % 8}"
            sock = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
            enable = {"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": cursor}
            sock.sendall(request(f"account={_account(number)}") + masked(1, json.dumps(enable).encode()))
            sock.setblocking(False)
            numbers[sock.fileno()] = number, sock, b""
            parked.register(sock.fileno(), select.EPOLLIN)
        for fd, _ in parked.poll(1.0):
            number, sock, received = numbers[fd]
            data = sock.recv(65536)
            if not data:
                raise ConnectionError(f"the gateway ended a connection: {received!r}")
            received += data
            found = _PUSH_STATE.search(received)
            if found is None:
                numbers[fd] = number, sock, received
                continue
            parked.unregister(fd)
            del numbers[fd]
            socks.append(sock)
            fresh[number] = found[1].decode()
            if b'"resync-' in received:
                resynchronised.add(number)
            if STATE.encode() in received:
                told.add(number)
    return Answers(time.monotonic() - start, told, resynchronised, fresh)


def _clients(port: int, first: int, count: int, control: Pipe) -> None:
    """Come, wait until told to, come back; say what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    socks: list[socket.socket] = []
    answers = _visit(port, dict.fromkeys(range(first, first + count)), socks)
    control.send(None)
    control.recv()
    for sock in socks:
        sock.close()
    socks.clear()
    control.send(None)
    control.recv()
    control.send(_visit(port, dict(answers.cursors), socks))
    control.recv()


def _publish(port: int, numbers: range) -> None:
    for at in range(0, len(numbers), EVENTS_PER_REQUEST):
        events = [
            {
                "specversion": "1.0",
                "id": str(number),
                "source": "bench",
                "type": "mail.FlagsSet",
                "subject": _account(number),
                "data": {"changed": {"Email": STATE}},
            }
            for number in numbers[at : at + EVENTS_PER_REQUEST]
        ]
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/cloudevents-batch+json"}
        posted = urllib.request.Request(f"http://127.0.0.1:{port}/v1/changes", json.dumps(events).encode(), headers)
        with urllib.request.urlopen(posted, timeout=30) as answer:
            assert answer.status == 202


def _kill(gateway: Tidings) -> None:
    workers = children(gateway.pid)
    for pid in (gateway.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    gateway.kill()


def _outcomes(gateway: Tidings) -> dict[str, int]:
    with urllib.request.urlopen(gateway.url("probe", "/metrics"), timeout=30) as answer:
        text = answer.read().decode()
    found = re.findall(r'^tidings_(resumes|resyncs)_total\{\w+="(\w+)"\} ([\d.]+)$', text, re.MULTILINE)
    return {f"{what} {label}": int(float(value)) for what, label, value in found if float(value)}


def _measured() -> tuple[float, float, list[Answers], dict[str, int]]:
    context = multiprocessing.get_context("spawn")
    (port,) = free_ports(1)
    each = CLIENTS // PROCESSES
    with ExitStack() as stack:
        state = Path(stack.enter_context(TemporaryDirectory()))
        bus = ("--bus", stack.enter_context(Broker()).url)
        env = {"TIDINGS_INGEST_TOKENS": TOKEN}
        publisher = stack.enter_context(tidings("publisher", *bus, "--state-dir", str(state), env=env))
        flags = ("gateway", *bus, "--port", str(port), "--workers", str(PROCESSES))
        first = stack.enter_context(tidings(*flags))
        publisher.wait_connected()
        first.wait(lambda: len(first.events("bus connected")) >= PROCESSES)
        controls = []
        for number in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_clients, args=(port, number * each, each, theirs), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.terminate)
            controls.append(ours)

        def everybody_says() -> list[Answers]:
            for control in controls:
                if not control.poll(2 * DEADLINE_SECONDS):
                    raise TimeoutError("the clients are not through")
            return [control.recv() for control in controls]

        def tell_everybody() -> float:
            for control in controls:
                control.send(None)
            return time.monotonic()

        everybody_says()
        _kill(first)
        tell_everybody()
        everybody_says()
        _publish(publisher.ports["ingest"], range(CHANGED))
        second = stack.enter_context(tidings(*flags))
        second.wait(lambda: len(second.events("bus connected")) >= PROCESSES)
        pids = [second.pid, *children(second.pid)]
        before = cpu_seconds(pids)
        begun = tell_everybody()
        answers = everybody_says()
        seconds, used = time.monotonic() - begun, cpu_seconds(pids) - before
        return seconds, used, answers, _outcomes(second)


def measure() -> list[Row]:
    """How long until everybody is answered by a gateway that has just started, and whether anything was lost."""
    seconds, used, answers, outcomes = _measured()
    told = set[int]().union(*(answer.told for answer in answers))
    resynchronised = set[int]().union(*(answer.resynchronised for answer in answers))
    return [
        Row(
            f"{CLIENTS:,} clients come back at once after kill -9 of a gateway of {PROCESSES} workers, "
            f"{CHANGED:,} of them missed a change",
            f"{seconds:.1f} s",
            "5 s",
            f"{len(set(range(CHANGED)) - told - resynchronised)} changes lost, {len(resynchronised)} clients "
            f"resynchronised, {used:.1f} s of CPU of the gateway; "
            + ", ".join(f"{name} {count:,}" for name, count in sorted(outcomes.items())),
        )
    ]
