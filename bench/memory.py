"""What an idle connection costs: resident memory of a real process, as the slope between two crowds."""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt

from bench.report import Row
from bench.wire import PONG, connect, frames
from tests.support.processes import tidings

FEW, MANY = 1_000, 10_000
SETTLE_SECONDS = 5.0
SECRET = "a secret of thirty-two bytes or more"


def _crowd(port: int, control: Connection) -> None:
    """Hold as many connections as told, each of an account of its own, and answer pings."""
    token_ends = int(time.time()) + 3600
    parked = select.epoll()
    socks: dict[int, socket.socket] = {}
    while True:
        if control.poll(0):
            wanted = control.recv()
            if not wanted:
                return
            for number in range(len(socks), wanted):
                token = jwt.encode({"sub": f"user{number}@mail.example", "exp": token_ends}, SECRET, "HS256")
                sock = connect(port, f"access_token={token}")
                socks[sock.fileno()] = sock
                parked.register(sock.fileno(), select.EPOLLIN)
            control.send(len(socks))
        for fd, _ in parked.poll(0.2):
            if any(opcode == 9 for opcode, _ in frames(socks[fd].recv(4096))):
                socks[fd].send(PONG)


def resident(pid: int) -> int:
    """Bytes of a process that are in memory and its own or shared, from the kernel's books."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Rss of process {pid}")


def measure() -> list[Row]:
    """Bytes per connection: authenticated, subscribed, idle."""
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as state:
        flags = ("--maildir", f"{state}/mail", "--state-dir", state, "--auth", "jwt")
        with tidings("up", *flags, env={"TIDINGS_JWT_SECRET": SECRET}) as process:
            ours, theirs = context.Pipe()
            crowd = context.Process(target=_crowd, args=(process.ports["gateway"], theirs), daemon=True)
            crowd.start()
            try:
                sizes = {}
                for wanted in (FEW, MANY):
                    ours.send(wanted)
                    if not ours.poll(300):
                        raise TimeoutError(f"no {wanted} connections within 300 s")
                    ours.recv()
                    time.sleep(SETTLE_SECONDS)
                    sizes[wanted] = resident(process.pid)
                ours.send(0)
            finally:
                crowd.terminate()
                crowd.join()
    slope = (sizes[MANY] - sizes[FEW]) / (MANY - FEW)
    return [
        Row(
            f"resident memory per idle connection (JWT, subscribed, {FEW:,} to {MANY:,} accounts)",
            f"{slope:.0f} B",
            "at most 512 B",
            f"whole process: {sizes[FEW] / 2**20:.1f} MiB at {FEW:,}, {sizes[MANY] / 2**20:.1f} MiB at {MANY:,}",
        )
    ]
