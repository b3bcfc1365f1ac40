"""Tidings as its users run it: processes, started on free ports and gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from tests.support.waiting import patient

START_SECONDS = 30.0
STOP_SECONDS = 40.0
ZEROS = {
    "up": ("--port", "--ingest-port", "--admin-port", "--probe-port"),
    "gateway": ("--port", "--admin-port", "--probe-port", "--drain-delay-seconds"),
    "publisher": ("--ingest-port", "--admin-port", "--probe-port"),
    "webmail": ("--port", "--admin-port", "--probe-port"),
    "cyrus-notify": (),
    "planted": ("--admin-port", "--probe-port"),
}
"""What is 0 where a test does not say: any free port, and nobody to wait for who sends clients here."""


class Tidings:
    """A running command, of `tidings`, of a module with the same command line, or of another `program`.

    `logs` are its log events, `ports` those it listens on, by listener; 0 for a Unix socket.
    """

    def __init__(
        self,
        command: str,
        *flags: str,
        env: Mapping[str, str] | None = None,
        module: str = "tidings",
        program: Sequence[str] = (),
    ) -> None:
        self.logs: list[dict[str, Any]] = []
        self.ports: dict[str, int] = {}
        self.stray: list[str] = []
        self._command = command
        zeros = [part for flag in ZEROS[command] if flag not in flags for part in (flag, "0")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        self.process = subprocess.Popen(
            # Gone with whoever started it, also when that is killed.
            [
                "setpriv",
                "--pdeathsig",
                "TERM",
                *(program or (sys.executable, "-m", module)),
                command,
                *zeros,
                "--log-format",
                "json",
                *flags,
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={**inherited, **(env or {})},
        )
        assert self.process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                self.stray.append(line.rstrip())
                continue
            if event.get("event") == "listening":
                self.ports[event["service"]] = event.get("port", 0)
            self.logs.append(event)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of this name."""
        return [event for event in self.logs if event.get("event") == name]

    def wait(self, condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
        """Wait until something is so, and fail with the log when it does not become so or the process ends."""
        deadline = time.monotonic() + patient(seconds)
        while not condition():
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                said = "\n".join([*map(json.dumps, self.logs), *self.stray])
                raise AssertionError(f"tidings {self._command} (exit code {code}) did not get there:\n{said}")
            time.sleep(0.01)

    def wait_started(self) -> None:
        """Wait until all of it serves."""
        self.wait(lambda: self.events("started"))

    def wait_connected(self) -> None:
        """Wait until both connections to the broker are up."""
        self.wait(lambda: self.events("bus connected"))

    @property
    def pid(self) -> int:
        return self.process.pid

    def url(self, listener: str, path: str = "", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.ports[listener]}{path}"

    def kill(self) -> None:
        """End it the hard way."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(patient(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"tidings {self._command} did not stop within {STOP_SECONDS} s") from None
        self._close()
        return code

    def _close(self) -> None:
        self._reader.join()
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextmanager
def tidings(
    command: str,
    *flags: str,
    env: Mapping[str, str] | None = None,
    module: str = "tidings",
    program: Sequence[str] = (),
) -> Iterator[Tidings]:
    """A command that has started, and is stopped afterwards."""
    running = Tidings(command, *flags, env=env, module=module, program=program)
    try:
        running.wait_started()
        yield running
    finally:
        if running.process.returncode is None:
            running.stop()
