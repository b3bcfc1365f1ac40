"""A private RabbitMQ node: own directories, cookie, epmd and ports, gone with the process that started it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

USER = "tidings"
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
PORTS = (10_000, 32_768)
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

MISSING = "a real RabbitMQ is needed: install it with `apt-get install rabbitmq-server`"


class BrokerError(Exception):
    """The node cannot be started; the text says why."""


def find_scripts() -> Path:
    """The directory of RabbitMQ's own scripts.

    Debian's commands on PATH are wrappers that change to the user rabbitmq; what they wrap is in /usr/lib.
    """
    candidates = [Path("/usr/lib/rabbitmq/bin/rabbitmq-server")]
    if found := shutil.which("rabbitmq-server"):
        candidates.append(Path(found).resolve())
    for candidate in candidates:
        if candidate.is_file() and candidate.name == "rabbitmq-server":
            return candidate.parent
    raise BrokerError(MISSING)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on at the moment, all different.

    None that the kernel gives to outgoing connections: one would take the port of a node that is down for a while.
    """
    sockets: list[socket.socket] = []
    while len(sockets) < count:
        with suppress(OSError):
            sockets.append(socket.create_server(("127.0.0.1", random.randrange(*PORTS))))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def definitions(password: str, vhosts: int) -> str:
    """One administrator and `vhosts` empty virtual hosts named 0, 1, ..., as RabbitMQ's definitions file."""
    salt = secrets.token_bytes(4)
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    names = [str(number) for number in range(vhosts)]
    return json.dumps(
        {
            "users": [
                {
                    "name": USER,
                    "password_hash": digest,
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": ["administrator"],
                }
            ],
            "vhosts": [{"name": name} for name in names],
            "permissions": [
                {"user": USER, "vhost": name, "configure": ".*", "write": ".*", "read": ".*"} for name in names
            ],
        }
    )


class Started(ABC):
    """Runs for as long as a `with` block; is gone afterwards, and when it did not even start."""

    @abstractmethod
    def start(self) -> None:
        """Start it and return once it is ready."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove what it has left."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Broker(Started):
    """A RabbitMQ node that keeps its port and its data across `stop`, `kill` and `start`.

    A test takes a virtual host of its own from `fresh_url`; one that hurts the node takes its own Broker.
    The kernel kills the node when the *thread* that launched it ends, so launch it from the main thread.
    `settings` are further lines of rabbitmq.conf, `schedulers` flags of the Erlang machine (two are plenty for tests).
    A `peer` is another node that this one can `join`.
    """

    def __init__(
        self,
        vhosts: int = 1,
        *,
        plugins: Sequence[str] = (),
        settings: Sequence[str] = (),
        schedulers: str = "+S 2:2",
        peer: Broker | None = None,
    ) -> None:
        self._scripts = find_scripts()
        self._peer = peer
        self._password: str = peer._password if peer else secrets.token_hex(8)
        self._cookie: str = peer._cookie if peer else secrets.token_hex(16)
        self._home = Path(tempfile.mkdtemp(prefix="tidings-broker-"))
        self.port, dist_port, epmd_port = free_ports(3)
        self.name = f"tidings-{self.port}@localhost"
        self._vhosts = vhosts
        self._taken = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self._home),
            "ERL_EPMD_PORT": peer._environment["ERL_EPMD_PORT"] if peer else str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self._home / "pid"),
            "RABBITMQ_MNESIA_BASE": str(self._home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(dist_port),
            # Distribution stays on loopback.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{schedulers} -kernel inet_dist_use_interface {{127,0,0,1}}",
            # The script then becomes the Erlang machine instead of watching over it: one process to signal.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
        }
        self._write_configuration(plugins, settings)

    def _write_configuration(self, plugins: Sequence[str], settings: Sequence[str]) -> None:
        (self._home / ".erlang.cookie").write_text(self._cookie)
        (self._home / ".erlang.cookie").chmod(0o400)
        (self._home / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        (self._home / "advanced.config").write_text("[].\n")
        (self._home / "definitions.json").write_text(definitions(self._password, self._vhosts))
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            f"load_definitions = {self._home}/definitions.json\n"
            "disk_free_limit.absolute = 1MB\n" + "".join(f"{setting}\n" for setting in settings)
        )

    @property
    def url(self) -> str:
        """The URL of virtual host 0."""
        return self._url(0)

    @property
    def pid(self) -> int:
        """The Erlang machine's process."""
        return self._running().pid

    def login(self) -> dict[str, str]:
        """What a STOMP client's CONNECT frame names, for virtual host 0."""
        return {"login": USER, "passcode": self._password, "host": "0"}

    def fresh_url(self) -> str:
        """The URL of a virtual host that nobody was given before."""
        if self._taken == self._vhosts:
            raise BrokerError(f"all {self._vhosts} virtual hosts are taken: ask for more")
        self._taken += 1
        return self._url(self._taken - 1)

    def _url(self, vhost: int) -> str:
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self.port}/{vhost}"

    def launch(self) -> None:
        """Begin starting the node and return at once."""
        if threading.current_thread() is not threading.main_thread():
            raise BrokerError("launch a broker from the main thread: it ends with the thread that launched it")
        if self._epmd is None and self._peer is None:
            port = self._environment["ERL_EPMD_PORT"]
            self._epmd = self._spawn("epmd", "-port", port, "-address", "127.0.0.1")
        self._process = self._spawn(str(self._scripts / "rabbitmq-server"))

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._home / "output").open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self._environment,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return once the node speaks AMQP."""
        process = self._running()
        deadline = time.monotonic() + READY_SECONDS
        while not self._speaks_amqp():
            try:
                code = process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
                raise BrokerError(f"RabbitMQ not ready in {READY_SECONDS:.0f} s\n{self._last_words()}") from None
            raise BrokerError(f"RabbitMQ ended with code {code}\n{self._last_words()}")

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(PROTOCOL_HEADER)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _last_words(self) -> str:
        files = [self._home / "output", *sorted((self._home / "log").glob("*.log"))]
        return "\n".join(file.read_text(errors="replace")[-2000:] for file in files if file.exists())

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("the node is not running")
        return self._process

    def start(self) -> None:
        """Start the node and return once it is ready (some seconds)."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Stop the node as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the node without warning (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._running(), None
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Freeze the node (SIGSTOP): connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen node go on."""
        self._running().send_signal(signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node (about 2 s of CPU) and return what it prints."""
        environment = self._environment | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ""}
        command = [str(self._scripts / "rabbitmqctl"), "--node", self.name, "--quiet", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise BrokerError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def join(self, peer: Broker) -> None:
        """Become a node of the peer's cluster, and forget what this one had. Takes some seconds."""
        for arguments in (("stop_app",), ("join_cluster", peer.name), ("start_app",)):
            self.ctl(*arguments)
        self.wait_ready()

    def close(self) -> None:
        """Kill everything that was started and remove the node's data."""
        if self._process is not None:
            self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        shutil.rmtree(self._home, ignore_errors=True)


@asynccontextmanager
async def memory_alarm(broker: Broker) -> AsyncIterator[None]:
    """The broker's memory alarm, for as long as it lasts."""
    await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.0000001")
    try:
        yield
    finally:
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.6")
