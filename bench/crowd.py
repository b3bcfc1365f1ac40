"""The load of the comparison: one thread, bare sockets, one epoll set. The same for every server compared."""

from __future__ import annotations

import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice

from bench.wire import frames, pong

STATE = re.compile(rb'"Email":"([0-9a-f]{16})')
_TOLD = b'"Email":"'
_PING = 0x89
_HEAD_END = b"\r\n\r\n"
_ENDS = b"}\0\n"
"""What a frame ends with: JSON, or STOMP's end of frame. Anything else is an unfinished frame, or a ping's payload."""
_READ_BYTES = 8 * 1024
_PER_ADDRESS = 4_000
DEADLINE_SECONDS = 60.0


def now_state() -> str:
    """A state that tells when it was made, on the monotonic clock that all processes share."""
    return f"{time.monotonic_ns():016x}"


class Crowd:
    """Clients that open, count the changes they are told of, and answer pings; and one that publishes.

    Everything happens within `open` and `run`. `told` counts changes; with `timing` set, `latencies` gets the
    seconds from `now_state` to the read of each.
    """

    def __init__(self, port: int, opened: bytes, heartbeat: tuple[bytes, bytes] | None = None) -> None:
        """`heartbeat`: a message of the server's that is answered, and with what."""
        self._heartbeat = heartbeat
        self.told = 0
        self.timing = False
        self.latencies: list[float] = []
        self._port = port
        self._opened = opened
        self._epoll = select.epoll()
        self._socks: dict[int, socket.socket] = {}
        self._opening: dict[int, tuple[bytes, bytes]] = {}
        self._parts: dict[int, bytes] = {}
        self._publisher: socket.socket | None = None
        self._unsent = bytearray()
        self._answer = b""

    def __len__(self) -> int:
        return len(self._socks)

    def open(self, requests: Iterable[tuple[bytes, bytes]], at_once: int = 128) -> None:
        """Connect and send each upgrade, once it is answered the subscription; return when all of them are open."""
        waiting = iter(requests)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            for upgrade, subscription in islice(waiting, at_once - len(self._opening)):
                self._connect(upgrade, subscription)
            if not self._opening:
                return
            self._turn(deadline)

    def _connect(self, upgrade: bytes, subscription: bytes) -> None:
        sock = socket.socket()
        sock.settimeout(DEADLINE_SECONDS)
        # Spread over addresses: with most ports of one taken, finding a free one costs more than the connection.
        sock.bind((f"127.0.1.{1 + len(self._socks) // _PER_ADDRESS}", 0))
        sock.connect(("127.0.0.1", self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.send(upgrade)
        sock.setblocking(False)
        self._socks[sock.fileno()] = sock
        self._opening[sock.fileno()] = b"", subscription
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def publisher(self, port: int, hello: bytes) -> None:
        """Connect the one that publishes; it sends `hello` first."""
        self._publisher = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
        self._publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._publisher.setblocking(False)
        self._epoll.register(self._publisher.fileno(), select.EPOLLIN)
        self.publish(hello)

    def publish(self, data: bytes) -> None:
        """Send to the server, or as soon as it takes it; answers are only kept to show when something fails."""
        self._unsent += data
        self._send_unsent()

    def _send_unsent(self) -> None:
        assert self._publisher is not None
        if self._unsent:
            with suppress(BlockingIOError):
                del self._unsent[: self._publisher.send(self._unsent)]
        mask = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._epoll.modify(self._publisher.fileno(), mask)

    def run(self, until: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
        """Read and answer until something is so. Raises TimeoutError when it does not become so."""
        deadline = time.monotonic() + seconds
        while not until():
            self._turn(deadline)

    def idle(self, seconds: float) -> None:
        """Only answer pings for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._handle(self._epoll.poll(left, 1024))

    def _turn(self, deadline: float) -> None:
        self._handle(self._epoll.poll(0.001, 1024))
        if time.monotonic() >= deadline:
            raise TimeoutError(
                f"{len(self._socks)} connections, {len(self._opening)} of them not open yet, {self.told} changes told; "
                f"the publisher was last answered {self._answer!r}"
            )

    def _handle(self, events: Sequence[tuple[int, int]]) -> None:
        opening, parts, told = self._opening, self._parts, 0
        publisher = -1 if self._publisher is None else self._publisher.fileno()
        for fd, mask in events:
            if fd == publisher:
                self._hear_publisher(mask)
                continue
            data = os.read(fd, _READ_BYTES)
            if not data:
                raise ConnectionError(f"the server closed a connection; it said {opening.get(fd, b'')!r}")
            if fd in opening:
                self._hear_opening(fd, data)
                continue
            if self._heartbeat is not None and self._heartbeat[0] in data:
                self._socks[fd].send(self._heartbeat[1])
            if fd in parts:
                data = parts.pop(fd) + data
            if data[0] == _PING or _PING in data:
                self._answer_pings(fd, data)
            elif data[-1] not in _ENDS:
                parts[fd] = data
                continue
            told += data.count(_TOLD)
            if self.timing:
                read = time.monotonic_ns()
                self.latencies += [(read - int(state, 16)) / 1e9 for state in STATE.findall(data)]
        self.told += told

    def _hear_publisher(self, mask: int) -> None:
        assert self._publisher is not None
        if mask & select.EPOLLOUT:
            self._send_unsent()
        if mask & ~select.EPOLLOUT:
            answer = self._publisher.recv(64 * 1024)
            if not answer:
                raise ConnectionError(f"the server closed the publisher's connection after {self._answer!r}")
            self._answer = answer[-512:]

    def _hear_opening(self, fd: int, data: bytes) -> None:
        answer, subscription = self._opening[fd]
        answer += data
        if subscription and _HEAD_END in answer:
            self._socks[fd].send(subscription)
            subscription = b""
        if self._opened in answer and not subscription:
            del self._opening[fd]
        else:
            self._opening[fd] = answer, subscription

    def _answer_pings(self, fd: int, data: bytes) -> None:
        for opcode, payload in frames(data):
            if opcode == _PING & 0x0F:
                self._socks[fd].send(pong(payload))

    def close(self) -> None:
        """Close all of them, with RST: nothing stays in TIME_WAIT."""
        for sock in self._socks.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        self._socks.clear()
        if self._publisher is not None:
            self._publisher.close()
        self._epoll.close()
