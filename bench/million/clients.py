"""A process full of clients: `python -m bench.million.clients PORT FIRST COUNT`, told what to do by its standard input.

It prints one JSON object a line: how many are open, how many have been told, and at the end what each was told.
"""

from __future__ import annotations

import gc
import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Iterator

from bench.peers import upgrade
from bench.tokens import token
from bench.wire import PONG, SUBSCRIBE

AT_ONCE = 32
PER_ADDRESS = 5_000
TELL_SECONDS = 0.25
NAP_SECONDS = 0.1
"""How long clients that only listen let things come: to wake a process of a hundred takes longer than to read from a
connection of it. What they are told is late by half as much."""
MOST_EVENTS = 1024
PING = b"\x89\x00"
IP_BIND_ADDRESS_NO_PORT = 24
"""Let the kernel choose the port when it knows the other end (ip(7)): only then are ports shared between ends."""
_TOLD = re.compile(rb'"u(\d+)@mail\.example":\{"Email":"([0-9a-f]{16})"')


def account(number: int) -> str:
    """The account of a connection."""
    return f"u{number}@mail.example"


class Clients:
    """Connections of consecutive accounts."""

    def __init__(self, port: int, first: int, count: int) -> None:
        self.opened = 0
        self.told: list[tuple[int, float]] = []
        self._port = port
        self._first = first
        self._numbers = iter(range(first, first + count))
        self._count = count
        self._epoll = select.epoll()
        self._number_of: dict[int, int] = {}
        self._heads: dict[int, bytes] = {}

    def open_all(self) -> Iterator[int]:
        """Open all of them; gives from time to time how many are."""
        while self.opened < self._count:
            while len(self._heads) < AT_ONCE and (number := next(self._numbers, None)) is not None:
                self._open(number)
            self.turn(0.1)
            yield self.opened

    def _open(self, number: int) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        place = number // PER_ADDRESS
        sock.bind((f"127.{1 + place // 250}.{1 + place % 250}.1", 0))
        sock.connect(("127.0.0.1", self._port))
        fields = (f"Authorization: Bearer {token(account(number))}", "Sec-WebSocket-Protocol: jmap")
        sock.send(upgrade("/jmap/ws", *fields) + SUBSCRIBE)
        sock.setblocking(False)
        fd = sock.detach()
        self._number_of[fd] = number
        self._heads[fd] = b""
        self._epoll.register(fd, select.EPOLLIN)

    def turn(self, seconds: float) -> None:
        """Wait so long at most for something to read; answer pings, and note what was told."""
        for fd, _ in self._epoll.poll(seconds, MOST_EVENTS):
            try:
                data = os.read(fd, 4096)
            except ConnectionResetError:
                data = b""
            if not data:
                said = self._heads.get(fd, b"it was open")
                raise ConnectionError(f"connection {self._number_of[fd]} was closed; the last was {said!r}")
            if PING in data:
                os.write(fd, PONG)
            if fd in self._heads:
                self._read_head(fd, data.replace(PING, b""))
                continue
            for number, state in _TOLD.findall(data):
                if int(number) != self._number_of[fd]:
                    raise RuntimeError(f"connection {self._number_of[fd]} was told of account {int(number)}")
                self.told.append((int(number), (time.monotonic_ns() - int(state, 16)) / 1e9))

    def listen(self) -> None:
        """Let things come for a while, then read them all."""
        time.sleep(NAP_SECONDS)
        self.turn(0)

    def _read_head(self, fd: int, data: bytes) -> None:
        """Until the first cursor has come: subscribed."""
        head = self._heads[fd] = self._heads[fd] + data
        if not b"HTTP/1.1 101 ".startswith(head[:13]):
            raise ConnectionError(head.decode(errors="replace"))
        if b'"pushState"' in head and head.endswith(b"}"):
            del self._heads[fd]
            self.opened += 1


def say(**what: object) -> None:
    """One line for the one who started this."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """At a line of standard input open all, then listen until there is another: then report and end."""
    gc.disable()
    sys.stdin.readline()
    port, first, count = map(int, sys.argv[1:])
    clients = Clients(port, first, count)
    spoken = 0.0
    for opened in clients.open_all():
        if time.monotonic() - spoken >= TELL_SECONDS:
            spoken = time.monotonic()
            say(open=opened)
    say(open=clients.opened)
    told = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        clients.listen()
        if len(clients.told) > told and time.monotonic() - spoken >= TELL_SECONDS:
            told, spoken = len(clients.told), time.monotonic()
            say(told=told)
    say(report=clients.told)
    # One way out for a million descriptors: the kernel closes them.
    os._exit(0)


if __name__ == "__main__":
    main()
