"""Attacks, each a small program of its own: `python -m tests.hostile.attacks NAME PORT [ARGUMENT]`.

One goes on until its standard input ends, which it does with whoever started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from typing import Final, Self

from tests.hostile import wire
from tests.support.frames import masked
from tests.support.waiting import patient

READY: Final = "attacking"


class Attack:
    """A running attack, from when it has begun until the end of a `with` block."""

    def __init__(self, name: str, port: int, argument: str = "") -> None:
        self._command = [sys.executable, "-m", "tests.hostile.attacks", name, str(port), argument]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == READY
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(patient(30))
        self._process.stdout.close()
        assert self._process.returncode == 0, "the attack itself failed"


def _blanks(port: int, _: str) -> Iterator[None]:
    """Heads with a field of 16 kB of blanks, which cost 1.3 s each."""
    start = b"GET /jmap/ws HTTP/1.1\r\nHost: a\r\nX:"
    evil = start + b" " * (16_384 - len(start) - 5) + b"\x01\r\n\r\n"
    while True:
        with closing(wire.connect(port)) as sock:
            sock.sendall(evil)
        time.sleep(0.1)
        yield


def _heads(port: int, _: str) -> Iterator[None]:
    """Heads of 16 kB that never end, hundreds at once."""
    held: deque[object] = deque(maxlen=15_000)
    evil = b"GET /jmap/ws HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 16_000
    while True:
        sock = wire.connect(port)
        sock.setblocking(False)
        with suppress(OSError):
            sock.send(evil)
        held.append(sock)
        if len(held) == held.maxlen:
            time.sleep(0.01)
        yield


def _fragments(port: int, _: str) -> Iterator[None]:
    """Empty continuation frames without end."""
    evil = masked(0, fin=False) * 2_000
    while True:
        with suppress(OSError), wire.Socket(port, wire.token("mallory")) as socket:
            socket.sock.sendall(masked(1, fin=False))
            while True:
                socket.sock.sendall(evil)
                yield
        yield


def _half_messages(port: int, _: str) -> Iterator[None]:
    """Messages of 64 kB that lack their last byte, on more and more connections."""
    held: deque[wire.Socket] = deque(maxlen=9_000)
    evil = masked(1, b'"' + b"a" * 65_000)[:-1]
    for number in count():
        with suppress(OSError):
            socket = wire.Socket(port, wire.token(f"mallory-{number % 100}"))
            socket.sock.settimeout(1)
            held.append(socket)
            socket.sock.sendall(evil)
        yield


def _unread(port: int, _: str) -> Iterator[None]:
    """Requests whose answers are as large, and that nobody reads, on more and more connections."""
    held: deque[wire.Socket] = deque(maxlen=2_000)
    asked = {"@type": "Request", "id": "1", "using": ["urn:ietf:params:jmap:core"]}
    evil = masked(1, json.dumps({**asked, "methodCalls": [["Core/echo", {"x": "a" * 60_000}, "c"]]}).encode())
    for number in count():
        with suppress(OSError):
            socket = wire.Socket(port, wire.token(f"mallory-{number % 100}"))
            socket.sock.settimeout(0.2)
            held.append(socket)
            for _turn in range(12):
                socket.sock.sendall(evil)
        yield


def _dead_polls(port: int, _: str) -> Iterator[None]:
    """Polls that may wait for 300 s, whose client goes at once."""
    bearer = wire.token("account-0", [f"account-{number}-{'0123456789abcdef' * 4}" for number in range(1, 64)])
    evil = wire.head("/jmap/changes?wait=300&since=x", bearer)
    while True:
        with closing(wire.connect(port)) as sock:
            sock.sendall(evil)
        time.sleep(0.002)
        yield


def _forms(port: int, _: str) -> Iterator[None]:
    """Subscriptions to data types that nobody else asks for."""
    numbers = count()
    while True:
        with suppress(OSError), wire.Socket(port, wire.token("mallory")) as socket:
            for number in numbers:
                socket.subscribe([f"X{number}"])
                yield
                if number % 500 == 499:
                    break
        yield


def _again(port: int, cursor: str) -> Iterator[None]:
    """The same cursor, given again and again by one account."""
    evil = wire.enable(["Email"], cursor)
    while True:
        with suppress(OSError), wire.Socket(port, wire.token("mallory")) as socket:
            threading.Thread(target=_drop, args=(socket,), daemon=True).start()
            while True:
                socket.sock.sendall(evil)
                time.sleep(0.012)
                yield
        yield


def _drop(socket: wire.Socket) -> None:
    with suppress(OSError, ValueError):
        while socket.sock.recv(65_536):
            pass


def _pipeline(port: int, _: str) -> Iterator[None]:
    """Requests without end on one connection, whose answers nobody reads."""
    evil = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 2_000
    while True:
        with suppress(OSError), closing(wire.connect(port)) as sock:
            sock.settimeout(2)
            while True:
                sock.sendall(evil)
                yield
        yield


def _types(port: int, _: str) -> Iterator[None]:
    """Changes of one account that name thousands of data types."""
    for start in count():
        events = [
            wire.event("mallory", {f"T{(start * 1_000 + index) * 30 + name}": None for name in range(30)}, index)
            for index in range(500)
        ]
        wire.publish(port, events)
        yield


ATTACKS: Final[dict[str, Callable[[int, str], Iterator[None]]]] = {
    function.__name__.lstrip("_"): function
    for function in (
        _blanks,
        _heads,
        _fragments,
        _half_messages,
        _unread,
        _dead_polls,
        _forms,
        _again,
        _pipeline,
        _types,
    )
}


def _wait_for_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main() -> None:
    """Attack until standard input ends."""
    _, name, port, argument = sys.argv
    over = threading.Event()
    threading.Thread(target=_wait_for_end, args=(over,), daemon=True).start()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    attack = ATTACKS[name](int(port), argument)
    while not over.is_set():
        try:
            next(attack)
        except OSError:
            # Refused or reset: that is what it is for. A generator that raised is over, so begin anew.
            attack = ATTACKS[name](int(port), argument)
            time.sleep(0.05)


if __name__ == "__main__":
    main()
