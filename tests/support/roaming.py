"""Clients that keep coming back, and a rolling restart of the gateways below them: what each of them went through."""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx2

from bench.wire import pong, request
from tests.support.events import event
from tests.support.frames import masked
from tests.support.processes import Tidings, tidings
from tests.support.waiting import comes_true, patient
from tidings.gateway.codecs.jmap import WEBSOCKET_PATH

TURN_SECONDS = 0.02
OPEN_AT_ONCE = 64
PER_ADDRESS = 4_000
IP_BIND_ADDRESS_NO_PORT = 24
JITTER_SECONDS = 1.0
"""What clients/js waits for at most before it comes back after close code 1012."""
TOKEN = "ingest-token-of-tests"
EVENTS_PER_POST = 50
SETTLE_SECONDS = 60.0
SHARDS = 8
"""So few that one machine's broker, which has to serve four gateways, is not what is measured."""
RESTART = 1012


def account(number: int) -> str:
    """The account of one client."""
    return f"user{number}@mail.example"


@dataclass(eq=False)
class Roamer:
    """One client: where it has got to, and what has happened to it."""

    number: int
    account: str
    address: str
    cursor: str | None = None
    state: str = ""
    sock: socket.socket | None = None
    received: bytearray = field(default_factory=bytearray)
    upgraded: bool = False
    told: bool = False
    gone_since: float | None = None


class Roamers(threading.Thread):
    """Clients of whichever gateways are in `ports`, which may be set at any time.

    `reconnects` and `closes` are monotonic seconds; `ends` counts how connections ended, by close code (1006: without
    one; 0: refused). A client that was refused or cut off tries again as one that was closed.
    """

    def __init__(self, count: int, ports: Sequence[int]) -> None:
        super().__init__(name="roamers", daemon=True)
        self.ports = tuple(ports)
        self.clients = [
            Roamer(number, account(number), f"127.0.{1 + number // PER_ADDRESS}.1") for number in range(count)
        ]
        self.reconnects: list[float] = []
        self.closes: list[float] = []
        self.ends: Counter[int] = Counter()
        self.resyncs = 0
        self.longest_away = 0.0
        self.fault: BaseException | None = None
        self._epoll = select.epoll()
        self._by_fd: dict[int, Roamer] = {}
        self._opening: set[Roamer] = set()
        self._due = [(0.0, number) for number in range(count)]
        self._ended = threading.Event()
        self._now = self._before = time.monotonic()

    def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._ended.is_set():
                self._turn()
        except BaseException as error:
            self.fault = error
            raise

    def stop(self) -> None:
        """Close all of them."""
        self._ended.set()
        self.join()
        for client in self._by_fd.values():
            assert client.sock is not None
            client.sock.close()
        self._epoll.close()

    @property
    def connected(self) -> int:
        """How many have been told a cursor on their present connection."""
        if self.fault is not None:
            raise self.fault
        return sum(client.told for client in self.clients)

    def unaware_of(self, states: Mapping[str, str]) -> int:
        """How many clients were told something else last than what is given for their account."""
        return sum(states.get(client.account, client.state) != client.state for client in self.clients)

    def way(self, client: Roamer) -> tuple[int, str]:
        """Port and path that a client connects to. Raises OSError when it finds no way."""
        return random.choice(self.ports), WEBSOCKET_PATH

    def _turn(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic() and len(self._opening) < OPEN_AT_ONCE:
            due, number = heapq.heappop(self._due)
            self._connect(self.clients[number], due)
        events = self._epoll.poll(TURN_SECONDS, 1024)
        self._before, self._now = self._now, time.monotonic()
        for index, (fd, _) in enumerate(events, 1):
            # On a busy machine this thread is late; what it finds then has come evenly meanwhile.
            at = self._before + (self._now - self._before) * index / len(events)
            self._read(self._by_fd[fd], at)

    def _connect(self, client: Roamer, due: float) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((client.address, 0))
        if client.gone_since is not None:
            self.reconnects.append(due)
        try:
            port, path = self.way(client)
            sock.connect(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            enable = {"@type": "WebSocketPushEnable", "dataTypes": None, "pushState": client.cursor}
            sock.send(request(f"account={client.account}", path) + masked(1, json.dumps(enable).encode()))
        except OSError:
            sock.close()
            self._lost(client, 0, time.monotonic())
            return
        sock.setblocking(False)
        client.sock, client.upgraded, client.told = sock, False, False
        client.received.clear()
        self._by_fd[sock.fileno()] = client
        self._opening.add(client)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, client: Roamer, at: float) -> None:
        assert client.sock is not None
        try:
            data = os.read(client.sock.fileno(), 16_384)
        except OSError:
            data = b""
        if not data:
            self._end(client, 1006, at)
            return
        client.received += data
        if not client.upgraded:
            head, found, rest = client.received.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(head.decode(errors="replace"))
            client.upgraded, client.received = True, rest
        for opcode, payload in self._frames(client):
            if opcode == 1:
                self._tell(client, json.loads(payload), at)
            elif opcode == 9:
                client.sock.send(pong(payload))
            elif opcode == 8:
                self._end(client, int.from_bytes(payload[:2], "big"), at)
                return

    @staticmethod
    def _frames(client: Roamer) -> Iterator[tuple[int, bytes]]:
        """The whole frames of what has come, all of them short enough for two bytes of length."""
        received = client.received
        while len(received) >= 4 or (len(received) >= 2 and received[1] < 126):
            size, start = received[1], 2
            if size == 126:
                size, start = int.from_bytes(received[2:4], "big"), 4
            if len(received) < start + size:
                return
            opcode, payload = received[0] & 0x0F, bytes(received[start : start + size])
            del received[: start + size]
            yield opcode, payload

    def _tell(self, client: Roamer, message: dict[str, object], at: float) -> None:
        changed, cursor = message["changed"], message["pushState"]
        assert isinstance(changed, dict)
        assert isinstance(cursor, str)
        client.cursor, client.told = cursor, True
        self._opening.discard(client)
        if client.gone_since is not None:
            self.longest_away = max(self.longest_away, at - client.gone_since)
            client.gone_since = None
        state = changed.get(client.account, {}).get("Email")
        if state is not None:
            self.resyncs += state.startswith("resync-")
            client.state = state

    def _end(self, client: Roamer, code: int, at: float) -> None:
        assert client.sock is not None
        del self._by_fd[client.sock.fileno()]
        self._epoll.unregister(client.sock.fileno())
        client.sock.close()
        client.sock, client.told = None, False
        self._opening.discard(client)
        self.closes.append(at)
        self._lost(client, code, at)

    def _lost(self, client: Roamer, code: int, at: float) -> None:
        self.ends[code] += 1
        if client.gone_since is None:
            client.gone_since = at
        heapq.heappush(self._due, (at + random.random() * JITTER_SECONDS, client.number))


class Storage(threading.Thread):
    """Tells a publisher of changes of random accounts; `acknowledged` is the last state of each that got its 202."""

    def __init__(self, publisher: Tidings, accounts: int, per_second: float) -> None:
        super().__init__(name="storage", daemon=True)
        self.acknowledged: dict[str, str] = {}
        self.count = 0
        self._url = publisher.url("ingest", "/v1/changes")
        self._accounts = accounts
        self._per_second = per_second
        self._ended = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        with httpx2.Client(timeout=patient(30.0)) as http:
            pause = EVENTS_PER_POST / self._per_second
            while not self._ended.wait(pause):
                chosen = random.sample(range(self._accounts), min(EVENTS_PER_POST, self._accounts))
                states = {account(number): f"s{self.count + index}" for index, number in enumerate(chosen)}
                events = [event(name, state) for name, state in states.items()]
                headers = {
                    "Content-Type": "application/cloudevents-batch+json",
                    "Authorization": f"Bearer {TOKEN}",
                }
                if http.post(self._url, json=events, headers=headers).status_code == 202:
                    self.acknowledged |= states
                    self.count += len(states)
                else:
                    # Perhaps appended, perhaps not: nothing is promised of these accounts.
                    for name in states:
                        self.acknowledged.pop(name, None)

    def stop(self) -> None:
        """Return once nothing more comes."""
        self._ended.set()
        self.join()


@dataclass(frozen=True)
class Rolled:
    """What a rolling restart did. `busiest` and `mean` are reconnects in a second; `drains` their seconds each."""

    changes: int
    lost: int
    resyncs: int
    reconnects: int
    busiest: int
    mean: float
    drains: Sequence[float]
    ends: Counter[int]
    longest_away: float


def busiest_second(times: Sequence[float]) -> int:
    """The most events within any one second."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@contextmanager
def stopped_at_last(thread: Roamers | Storage) -> Iterator[None]:
    """A thread that runs inside, and has ended afterwards."""
    thread.start()
    try:
        yield
    finally:
        thread.stop()


def is_ready(gateway: Tidings) -> bool:
    """Whether a balancer would send clients to a gateway."""
    try:
        return httpx2.get(gateway.url("probe", "/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


def roll(bus: str, state_dir: str, clients: int, per_second: float, gateways: int = 3) -> Rolled:
    """Replace gateways one by one, as a Deployment does: one more at a time, which is ready before an old one goes.

    Who balances the load follows /readyz. Call it from the main thread.
    """
    log = ("--bus", bus, "--shards", str(SHARDS))
    with ExitStack() as stack:

        def start() -> Tidings:
            flags = ("--coalesce-ms", "0", "--drain-delay-seconds", "2")
            gateway = stack.enter_context(tidings("gateway", *log, *flags))
            gateway.wait(lambda: is_ready(gateway))
            return gateway

        env = {"TIDINGS_INGEST_TOKENS": TOKEN}
        publisher = stack.enter_context(tidings("publisher", *log, "--state-dir", state_dir, env=env))
        publisher.wait_connected()
        serving = [start() for _ in range(gateways)]
        crowd = Roamers(clients, [gateway.ports["gateway"] for gateway in serving])
        with stopped_at_last(crowd):
            if not comes_true(lambda: crowd.connected == clients, SETTLE_SECONDS):
                raise AssertionError(f"{crowd.connected} of {clients} clients are connected; {crowd.ends}")
            storage = Storage(publisher, clients, per_second)
            with stopped_at_last(storage):
                drains = [_replace(old, serving, start, crowd) for old in tuple(serving)]
            comes_true(
                lambda: crowd.connected == clients and not crowd.unaware_of(storage.acknowledged), SETTLE_SECONDS
            )
        return Rolled(
            changes=storage.count,
            lost=crowd.unaware_of(storage.acknowledged),
            resyncs=crowd.resyncs,
            reconnects=len(crowd.reconnects),
            busiest=busiest_second(crowd.reconnects),
            mean=len(crowd.reconnects) / sum(drains),
            drains=drains,
            ends=crowd.ends,
            longest_away=crowd.longest_away,
        )


def _replace(old: Tidings, serving: list[Tidings], start: Callable[[], Tidings], crowd: Roamers) -> float:
    """Start a gateway, stop an old one; for how many seconds that sent its clients away."""

    def balance() -> None:
        crowd.ports = tuple(gateway.ports["gateway"] for gateway in serving)

    serving.append(start())
    balance()
    before = len(crowd.closes)
    old.process.send_signal(signal.SIGTERM)
    old.wait(lambda: not is_ready(old))
    serving.remove(old)
    balance()
    old.process.wait(patient(SETTLE_SECONDS))
    old.stop()
    closes = crowd.closes[before:]
    return max(closes) - min(closes)
