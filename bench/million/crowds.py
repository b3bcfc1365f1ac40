"""The client processes: started, told what to do, and gone with the one who started them."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOP_SECONDS = 30.0
AT_ONCE = 4
"""Processes that connect at the same time; all of them answer pings."""


class Crowds:
    """As many processes as it takes, each with consecutive accounts."""

    def __init__(self, port: int, connections: int, per_process: int) -> None:
        self.said: list[dict[str, Any]] = []
        self._counts: list[int] = []
        self._started = 0
        self._unfinished: list[bytes] = []
        self._lines = selectors.DefaultSelector()
        self._processes: list[subprocess.Popen[bytes]] = []
        for first in range(0, connections, per_process):
            count = min(per_process, connections - first)
            clients = (sys.executable, "-m", "bench.million.clients", str(port), str(first), str(count))
            process = subprocess.Popen(
                # Ctrl-C is for the one who started this; should that one be killed, so are these.
                ("setpriv", "--pdeathsig", "KILL", *clients),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            assert process.stdout is not None
            self._lines.register(process.stdout, selectors.EVENT_READ, len(self._processes))
            self._processes.append(process)
            self._counts.append(count)
            self.said.append({})
            self._unfinished.append(b"")

    @property
    def pids(self) -> list[int]:
        """Of the processes that have not ended."""
        return [process.pid for process in self._processes if process.poll() is None]

    def sum(self, what: str) -> int:
        """What all of them said of this last, together."""
        return sum(said.get(what, 0) for said in self.said)

    def wait(self, until: Callable[[], bool], seconds: float, look: Callable[[], None]) -> None:
        """Hear them until something is so. Raises TimeoutError, or RuntimeError when one of them fails."""
        deadline = time.monotonic() + seconds
        while not until():
            self._start_some()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not there after {seconds:.0f} s")
            for key, _ in self._lines.select(0.25):
                self._hear(key.data)
            look()

    def _start_some(self) -> None:
        done = sum(said.get("open") == count for said, count in zip(self.said, self._counts, strict=True))
        while self._started < min(len(self._processes), done + AT_ONCE):
            self._tell(self._processes[self._started])
            self._started += 1

    @staticmethod
    def _tell(process: subprocess.Popen[bytes]) -> None:
        """Have it do the next it can do."""
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()

    def _hear(self, index: int) -> None:
        process = self._processes[index]
        assert process.stdout is not None
        data = os.read(process.stdout.fileno(), 1 << 20)
        if not data:
            self._lines.unregister(process.stdout)
            if process.wait() or "report" not in self.said[index]:
                raise RuntimeError(f"a client process ended with exit code {process.returncode}")
            return
        *lines, self._unfinished[index] = (self._unfinished[index] + data).split(b"\n")
        for line in lines:
            self.said[index] |= json.loads(line)

    def report(self, seconds: float, look: Callable[[], None]) -> list[tuple[int, float]]:
        """End them; every change that a client was told of: number of the account, and seconds from its append."""
        for process in self._processes:
            self._tell(process)
        self.wait(lambda: all("report" in said for said in self.said), seconds, look)
        return [(number, latency) for said in self.said for number, latency in said["report"]]

    def kill(self) -> None:
        """End them, whatever they do."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(STOP_SECONDS)
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()


@contextmanager
def crowds(port: int, connections: int, per_process: int) -> Iterator[Crowds]:
    """Client processes that begin to connect, and are gone afterwards."""
    running = Crowds(port, connections, per_process)
    try:
        yield running
    finally:
        running.kill()
