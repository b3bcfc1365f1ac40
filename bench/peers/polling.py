"""HTTP polling with ETags, on FastAPI: what push replaces."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import ExitStack

from bench.peers.apps import STATE
from bench.peers.fastapi_ws import uvicorn
from bench.rate import Rate, timed
from bench.tokens import token
from bench.trial import account
from bench.usage import cores, on_core

UNCHANGED_IN_TEN = 6
"""Of ten polls, so many find nothing new."""
CLIENTS = 200
POLL_SECONDS = 5.0
NAME = "FastAPI polling, ETags"


def _poll(number: int, tag: str) -> bytes:
    fields = (
        "GET /changes HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token(account(number))}",
        f'If-None-Match: "{tag}"',
    )
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n"


def measure() -> Rate:
    """Polls over kept connections, the next as soon as one is answered. Raises RuntimeError for wrong answers."""
    server_core, load_core = cores()
    with ExitStack() as stack:
        with on_core(server_core):
            pid, port = stack.enter_context(uvicorn("poll"))
        stack.enter_context(on_core(load_core))
        epoll = stack.enter_context(select.epoll())
        polls: dict[int, tuple[bytes, bytes]] = {}
        for number in range(CLIENTS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            epoll.register(sock.fileno(), select.EPOLLIN)
            polls[sock.fileno()] = _poll(number, STATE), _poll(number, "of before")
        unchanged = 0
        with timed((pid,)) as rate:
            for fd, (poll, _) in polls.items():
                os.write(fd, poll)
            end = time.monotonic() + POLL_SECONDS
            while time.monotonic() < end:
                for fd, _ in epoll.poll(1.0):
                    answer = os.read(fd, 4096)
                    if not answer:
                        raise ConnectionError("the server closed a connection")
                    unchanged += b" 304 " in answer[:16]
                    rate.count += 1
                    os.write(fd, polls[fd][rate.count % 10 >= UNCHANGED_IN_TEN])
    if abs(unchanged - rate.count * UNCHANGED_IN_TEN / 10) > CLIENTS or not rate.count:
        raise RuntimeError(f"{unchanged} of {rate.count} polls were answered 304")
    return rate
