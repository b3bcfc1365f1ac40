"""A private PostgreSQL server: own directory, socket and port, gone with the process that started it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import psycopg

from tests.support.freezing import freeze
from tests.support.ports import free_ports
from tests.support.started import Started
from tests.support.waiting import patient
from tidings.publisher.sources import postgres

READY_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
SCHEMA = files(postgres).joinpath("schema.sql").read_text()
VERSIONS = Path("/usr/lib/postgresql")
"""Where Debian has the servers, which are in no PATH."""


class PostgresError(Exception):
    """The server is not there, or does not do what a test needs."""


def binaries() -> Path:
    """The directory of the newest server's programs."""
    found = sorted(VERSIONS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise PostgresError("no PostgreSQL server: scripts/apt-install postgresql")
    return found[-1].parent


def _send(processes: Sequence[int], how: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process, how)
        except ProcessLookupError:
            continue


class Postgres(Started):
    """A server that keeps its port and its data across `stop`, `kill` and `start`.

    It runs as user postgres where the tests are root, which PostgreSQL refuses to be. `settings` are further ones.
    """

    def __init__(self, settings: Sequence[str] = ("fsync=off",)) -> None:
        (self.port,) = free_ports(1)
        self._home = Path(tempfile.mkdtemp(prefix="tidings-postgres-"))
        self._data = self._home / "data"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self._home, "postgres", "postgres")

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def _run(self, *command: str) -> None:
        done = subprocess.run(self._as_user(*command), capture_output=True, text=True, check=False, cwd=self._home)
        if done.returncode:
            raise PostgresError(f"{command[0]} failed\n{done.stdout}\n{done.stderr}")

    def _as_user(self, *command: str) -> list[str]:
        who = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *who, "--pdeathsig", "KILL", str(binaries() / command[0]), *command[1:]]

    def start(self) -> None:
        """Start the server and return once it answers."""
        if not self._data.exists():
            self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8")
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Begin starting the server and return at once."""
        flags = ("-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._home))
        settings = [part for setting in self._settings for part in ("-c", setting)]
        with (self._home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._as_user("postgres", "-D", str(self._data), *flags, *settings),
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return once the server answers."""
        process = self._running()
        deadline = time.monotonic() + patient(READY_SECONDS)
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PostgresError(f"PostgreSQL is not ready: {error}\n{self.last_words()}") from None
                time.sleep(POLL_SECONDS)
            else:
                return

    def last_words(self) -> str:
        """The end of its log."""
        return (self._home / "output").read_text(errors="replace")[-4000:]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise PostgresError("the server is not running")
        return self._process

    def stop(self) -> None:
        """Stop the server, without waiting for those that are connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill every process of the server without warning (SIGKILL)."""
        children = self._children()
        self._end(signal.SIGKILL)
        _send(children, signal.SIGKILL)

    def pause(self) -> None:
        """Freeze every process of the server (SIGSTOP): connections stay open and nothing answers."""
        freeze(self._running().pid)
        for child in self._children():
            freeze(child)

    def resume(self) -> None:
        """Let a frozen server go on."""
        _send(self._children(), signal.SIGCONT)
        self._running().send_signal(signal.SIGCONT)

    def _children(self) -> list[int]:
        """Those of the first process, which are leaders of sessions of their own."""
        pid = self._running().pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._running(), None
        process.send_signal(how)
        try:
            process.wait(patient(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Kill everything that was started and remove the data."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def fresh_url(self, schema: str | None = SCHEMA) -> str:
        """The URL of a new database, with an outbox."""
        name = f"test{secrets.token_hex(4)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}".encode())
        if schema is not None:
            with psycopg.connect(self.url(name), autocommit=True) as db:
                db.execute(schema.encode())
        return self.url(name)
