"""A private RabbitMQ node: own directories, cookie, epmd and ports, gone with the process that started it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.freezing import freeze
from tests.support.ports import free_ports
from tests.support.rabbitmq import BrokerError, Node, definitions
from tests.support.roots import Root, first_inside
from tests.support.started import Started
from tests.support.waiting import patient

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class Broker(Node, Started):
    """A RabbitMQ node that keeps its port and its data across `stop`, `kill` and `start`.

    A test takes a virtual host of its own from `fresh_url`; one that hurts the node takes its own Broker.
    The kernel kills the node when the *thread* that launched it ends, so launch it from the main thread.
    `settings` are further lines of rabbitmq.conf, `schedulers` flags of the Erlang machine (two are plenty for tests).
    Where there is a `peer`, which has to be ready, it joins the peer's cluster when it starts for the first time.
    With a `root` it is the RabbitMQ that is installed there.
    """

    def __init__(
        self,
        vhosts: int = 1,
        *,
        plugins: Sequence[str] = (),
        settings: Sequence[str] = (),
        schedulers: str = "+S 2:2",
        peer: Broker | None = None,
        root: Root | None = None,
    ) -> None:
        port, dist_port, epmd_port = free_ports(3)
        home = Path(tempfile.mkdtemp(prefix="tidings-broker-"))
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": peer._environment["ERL_EPMD_PORT"] if peer else str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_NODENAME": f"tidings-{port}@localhost",
            "RABBITMQ_DIST_PORT": str(dist_port),
            # Distribution stays on loopback.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{schedulers} -kernel inet_dist_use_interface {{127,0,0,1}}",
            # The script then becomes the Erlang machine instead of watching over it: one process to signal.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            # Roots have no /etc/hosts.
            "ERL_INETRC": str(home / "inetrc"),
        }
        password = peer._password if peer else secrets.token_hex(8)
        super().__init__(port, password, vhosts, environment, None if root is None else str(root.path))
        self._peer = peer
        self._cookie: str = peer._cookie if peer else secrets.token_hex(16)
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._write_configuration(plugins, settings)

    def _write_configuration(self, plugins: Sequence[str], settings: Sequence[str]) -> None:
        (self._home / ".erlang.cookie").write_text(self._cookie)
        (self._home / ".erlang.cookie").chmod(0o400)
        (self._home / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        (self._home / "inetrc").write_text('{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n')
        # Where streams are coordinated is looked at each second, and not twice a minute.
        (self._home / "advanced.config").write_text("[{rabbit, [{stream_tick_interval, 1000}]}].\n")
        (self._home / "definitions.json").write_text(definitions(self._password, self._vhosts))
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            f"load_definitions = {self._home}/definitions.json\n"
            "disk_free_limit.absolute = 1MB\n" + "".join(f"{setting}\n" for setting in (*settings, *self._discovery()))
        )

    def _discovery(self) -> Iterator[str]:
        """How the chart's nodes find each other: by name."""
        if self._peer is not None:
            yield "cluster_formation.peer_discovery_backend = classic_config"
            for number, name in enumerate((self._peer.name, self.name), 1):
                yield f"cluster_formation.classic_config.nodes.{number} = {name}"

    @property
    def pid(self) -> int:
        """The Erlang machine's process."""
        process = self._running()
        return process.pid if self._root is None else first_inside(process.pid) or process.pid

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
                ["setpriv", "--pdeathsig", "KILL", *self._here(command)],
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
        seconds = patient(READY_SECONDS)
        deadline = time.monotonic() + seconds
        while not self._speaks_amqp():
            try:
                code = process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
                raise BrokerError(f"RabbitMQ not ready in {seconds:.0f} s\n{self._last_words()}") from None
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
        process = self._running()
        self._signal(how)
        self._process = None
        try:
            process.wait(patient(STOP_SECONDS))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, how: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, how)

    def pause(self) -> None:
        """Freeze the node (SIGSTOP): connections stay open and nothing answers."""
        freeze(self.pid)

    def resume(self) -> None:
        """Let a frozen node go on."""
        self._signal(signal.SIGCONT)

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
