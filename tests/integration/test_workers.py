"""A gateway with several workers, as its users run it: what each of them costs when it dies, and how all stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from secrets import token_bytes

import httpx2
import pytest
import websockets
from prometheus_client.parser import text_string_to_metric_families

from tests.support.changelog import append_at_last, opened, ready
from tests.support.clients import RawClient, jmap_client, raw_client, upgrade
from tests.support.freezing import freeze
from tests.support.processes import Tidings, tidings
from tests.support.waiting import eventually, patient, within
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.ops.process.workers.peers import ANSWER_SECONDS
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

WORKERS = 3
SHARDS = 4
CLIENTS = 40
"""So many that no worker is left without one: (2/3)^40 is nothing."""
DEADLINE = 30.0


class Crowd:
    """A gateway of three workers, and its admin endpoint."""

    def __init__(self, gateway: Tidings) -> None:
        self.gateway = gateway

    def url(self, account: str) -> str:
        return self.gateway.url("gateway", f"/jmap/ws?account={account}", "ws")

    def pids(self) -> dict[int, int | None]:
        """Process ids by worker; None while one does not run."""
        listed = httpx2.get(self.gateway.url("admin", "/workers/")).json()
        return {worker["worker"]: worker["pid"] for worker in listed}

    def pid(self, worker: int) -> int:
        pid = self.pids()[worker]
        assert pid is not None
        return pid

    def metrics(self, path: str = "/metrics") -> dict[tuple[str, tuple[str, ...]], float]:
        """Values by name and the values of labels."""
        answer = httpx2.get(self.gateway.url("admin", path))
        assert answer.status_code == 200, answer.text
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def open_sockets(self) -> dict[int, float]:
        """Clients by worker."""
        workers = range(1, WORKERS + 1)
        return {n: self.metrics(f"/workers/{n}/metrics")["tidings_sockets_open", ()] for n in workers}

    def wait_ready(self) -> None:
        """Wait until every worker is."""
        self.gateway.wait(
            lambda: httpx2.get(self.gateway.url("probe", "/readyz")).json() == {"status": "ready", "unready": {}}
        )

    def waiting_in_queues(self) -> int:
        """Connections that no worker has accepted yet: of a listening socket the kernel tells them as `rx_queue`."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port = f"{self.gateway.ports['gateway']:04X}"
        return sum(int(row[4].split(":")[1], 16) for row in rows if row[3] == "0A" and row[1].endswith(f":{port}"))


@pytest.fixture
def crowd(bus_url: str) -> Iterator[Crowd]:
    flags = ("--workers", str(WORKERS), "--shards", str(SHARDS), "--coalesce-ms", "0")
    with tidings("gateway", "--bus", bus_url, *flags) as gateway:
        gateway.wait(lambda: any("workers" in event for event in gateway.events("started")))
        running = Crowd(gateway)
        running.wait_ready()
        yield running


@pytest.fixture
async def log(bus_url: str) -> AsyncIterator[RabbitMQLog]:
    async with opened(RabbitMQLog(bus_url, SHARDS)) as log:
        await ready(log)
        assert isinstance(log, RabbitMQLog)
        yield log


async def publish(log: RabbitMQLog, account: str, state: str) -> None:
    change = Change(account, {"Email": state}, "FlagsSet", state, "test", None)
    await append_at_last(log, shard_of(account, SHARDS), batch.encode(token_bytes(16), time.time(), (change,)))


class Listener:
    """A client that listens, reconnects with its cursor, and remembers what it was told."""

    def __init__(self, crowd: Crowd, account: str) -> None:
        self._crowd = crowd
        self._account = account
        self.states: list[str] = []
        self.connections = 0
        self.subscribed = asyncio.Event()

    async def listen(self) -> None:
        cursor: str | None = None
        while True:
            try:
                async with jmap_client(self._crowd.url(self._account), open_timeout=DEADLINE) as client:
                    self.connections += 1
                    changed = await client.subscribe(since=cursor)
                    self.subscribed.set()
                    while True:
                        cursor = client.cursor
                        if changed:
                            self.states.append(changed[self._account]["Email"])
                        message = await client.receive(DEADLINE)
                        cursor, changed = message["pushState"], message["changed"]
            except websockets.ConnectionClosed:
                continue


@asynccontextmanager
async def listening(crowd: Crowd, accounts: list[str]) -> AsyncIterator[list[Listener]]:
    listeners = [Listener(crowd, account) for account in accounts]
    tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
    try:
        async with within(DEADLINE):
            for listener in listeners:
                await listener.subscribed.wait()
        yield listeners
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []


def children_of(pid: int) -> set[int]:
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return set(map(int, task.read_text().split()))


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that its new parent has not buried yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_worker_killed_under_load_costs_its_clients_a_reconnect_and_nobody_anything(
    crowd: Crowd, log: RabbitMQLog
) -> None:
    accounts = [f"user{number}" for number in range(8)]
    async with listening(crowd, [accounts[number % 8] for number in range(CLIENTS)]) as listeners:
        before = await asyncio.to_thread(crowd.open_sockets)
        assert sum(before.values()) == CLIENTS
        assert all(before.values())
        published = 0

        async def load() -> None:
            nonlocal published
            while True:
                published += 1
                await asyncio.gather(*(publish(log, account, f"{published:06}") for account in accounts))

        loading = asyncio.create_task(load())
        await eventually(lambda: published > 20, DEADLINE)
        os.kill(await asyncio.to_thread(crowd.pid, 2), signal.SIGKILL)
        killed = published
        await eventually(lambda: sum(listener.connections for listener in listeners) == CLIENTS + before[2], DEADLINE)
        await eventually(lambda: published > killed + 20, DEADLINE)
        loading.cancel()
        await asyncio.wait({loading})
        for account in accounts:
            await publish(log, account, "999999")
        await eventually(lambda: all(listener.states[-1:] == ["999999"] for listener in listeners), DEADLINE)

        moved = [listener for listener in listeners if listener.connections > 1]
        assert len(moved) == before[2]
        assert all(listener.connections == 2 for listener in moved)
        # Nobody was told to resynchronise (those states are no numbers), and nobody was told of the past again.
        for listener in listeners:
            assert all(state.isdigit() for state in listener.states)
            assert all(earlier <= later for earlier, later in pairwise(listener.states))
        # Clients may be with other workers before the supervisor has seen that theirs has ended.
        await asyncio.to_thread(crowd.gateway.wait, lambda: crowd.gateway.events("worker ended"))
        await asyncio.to_thread(crowd.wait_ready)
        total = await asyncio.to_thread(crowd.metrics)
        assert total["tidings_worker_restarts_total", ("2",)] == 1
        assert total["tidings_worker_restarts_total", ("1",)] == total["tidings_worker_restarts_total", ("3",)] == 0
    (ended,) = crowd.gateway.events("worker ended")
    assert (ended["worker"], ended["signal"]) == (2, "SIGKILL")


async def test_connections_that_waited_for_a_dead_worker_are_served_by_its_successor(crowd: Crowd) -> None:
    stopped = await asyncio.to_thread(crowd.pid, 1)
    freeze(stopped)
    async with AsyncExitStack() as stack:
        clients: list[RawClient] = []
        for number in range(CLIENTS):
            client = await stack.enter_async_context(raw_client(crowd.gateway.ports["gateway"]))
            await client.send(upgrade(f"/jmap/ws?account=user{number}"))
            clients.append(client)
        statuses = [asyncio.create_task(client.status()) for client in clients]
        await eventually(
            lambda: sum(status.done() for status in statuses) == CLIENTS - crowd.waiting_in_queues(), DEADLINE
        )
        assert crowd.waiting_in_queues() > 0
        os.kill(stopped, signal.SIGKILL)
        assert await asyncio.gather(*statuses) == [101] * CLIENTS
    assert await asyncio.to_thread(crowd.pid, 1) != stopped


async def test_metrics_are_the_sum_of_the_workers(crowd: Crowd, log: RabbitMQLog) -> None:
    accounts = [f"user{number}" for number in range(CLIENTS)]
    async with listening(crowd, accounts) as listeners:
        for account in accounts:
            await publish(log, account, "1")
        await eventually(lambda: all(listener.states == ["1"] for listener in listeners), DEADLINE)

        def read() -> tuple[dict[str, float], dict[str, float]]:
            each = [crowd.metrics(f"/workers/{number}/metrics") for number in range(1, WORKERS + 1)]
            total = crowd.metrics()
            still = [name for name, _ in total if name.startswith(("tidings_pushes", "tidings_sockets", "tidings_acc"))]
            still += [name for name, _ in total if name.startswith("tidings_consume_to_write")]
            summed = {name: sum(v for worker in each for k, v in worker.items() if k[0] == name) for name in still}
            return summed, {name: sum(v for k, v in total.items() if k[0] == name) for name in still}

        summed, total = await asyncio.to_thread(read)
        assert total == summed
        assert total["tidings_pushes_total"] == total["tidings_sockets_open"] == CLIENTS
        assert total["tidings_consume_to_write_seconds_count"] == CLIENTS


async def test_all_clients_are_told_to_reconnect_when_the_gateway_stops(crowd: Crowd) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(jmap_client(crowd.url(f"user{n}"))) for n in range(CLIENTS)]
        stopping = asyncio.create_task(asyncio.to_thread(crowd.gateway.stop))
        codes = {code for code, _ in await asyncio.gather(*(client.closed() for client in clients))}
        assert codes == {1012}
        assert await stopping == 0
    assert len(crowd.gateway.events("drained")) == WORKERS
    assert not crowd.gateway.stray
    assert not crowd.gateway.events("worker ended")


async def test_what_a_terminal_sends_to_all_of_them_stops_them_as_gracefully(crowd: Crowd) -> None:
    workers = [pid for pid in (await asyncio.to_thread(crowd.pids)).values() if pid is not None]
    async with jmap_client(crowd.url("alice")) as client:
        for pid in (*workers, crowd.gateway.pid, *workers):
            os.kill(pid, signal.SIGINT)
        assert (await client.closed())[0] == 1012
    assert await asyncio.to_thread(crowd.gateway.process.wait, DEADLINE) == 0
    crowd.gateway.stop()
    assert not crowd.gateway.events("worker ended")


async def test_a_second_signal_means_now(crowd: Crowd) -> None:
    stuck = await asyncio.to_thread(crowd.pid, 1)
    freeze(stuck)
    crowd.gateway.process.send_signal(signal.SIGTERM)
    crowd.gateway.wait(lambda: crowd.gateway.events("stopping"))
    crowd.gateway.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(crowd.gateway.process.wait, DEADLINE) == 128 + signal.SIGTERM
    assert is_gone(stuck)
    crowd.gateway.stop()


async def test_a_supervisor_that_is_killed_leaves_nobody_behind(crowd: Crowd) -> None:
    children = children_of(crowd.gateway.pid)
    assert len(children) == WORKERS + 1
    async with jmap_client(crowd.url("alice")) as client:
        crowd.gateway.process.kill()
        assert (await client.closed())[0] == 1012
    await eventually(lambda: all(is_gone(pid) for pid in children), DEADLINE)
    crowd.gateway.kill()


def test_the_supervisor_has_one_thread(crowd: Crowd) -> None:
    assert len(list(Path(f"/proc/{crowd.gateway.pid}/task").iterdir())) == 1


async def test_a_stuck_worker_is_not_ready_and_the_others_are(crowd: Crowd) -> None:
    stuck = await asyncio.to_thread(crowd.pid, 3)
    unanswered = "tidings_worker_unanswered_total", ("3",)
    before = (await asyncio.to_thread(crowd.metrics))[unanswered]
    freeze(stuck)
    try:
        answer = await asyncio.to_thread(httpx2.get, crowd.gateway.url("probe", "/readyz"))
        assert answer.status_code == 200
        assert answer.json()["unready"]["worker 3"] == "does not answer"
        total = await asyncio.to_thread(crowd.metrics)
        assert total["tidings_worker_up", ("3",)] == 0
        assert total[unanswered] == before + 2
    finally:
        os.kill(stuck, signal.SIGCONT)


async def test_a_worker_that_is_slow_to_close_connections_is_waited_for(crowd: Crowd) -> None:
    url = crowd.gateway.url("admin", "/debug/accounts/alice/disconnect")
    headers = {"X-Requested-With": "test"}
    stuck = await asyncio.to_thread(crowd.pid, 1)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(jmap_client(crowd.url("alice"))) for _ in range(CLIENTS)]
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=patient(DEADLINE)))
        there = (await asyncio.to_thread(crowd.open_sockets))[1]
        freeze(stuck)
        try:
            asking = asyncio.create_task(http.post(url))
            # Longer than a worker may take that is asked for what it knows.
            await asyncio.sleep(2 * ANSWER_SECONDS)
            assert not asking.done()
        finally:
            os.kill(stuck, signal.SIGCONT)
        assert (await asking).json() == {"account": "alice", "disconnected": CLIENTS}
        assert {code for code, _ in await asyncio.gather(*(client.closed() for client in clients))} == {1008}
        assert there > 0

        freeze(stuck)
        try:
            answer = await http.post(url)
        finally:
            os.kill(stuck, signal.SIGCONT)
        assert answer.status_code == 503
        assert answer.json()["detail"] == "these workers did not answer: 1; the others closed 0"


def test_the_admin_process_is_restarted_on_the_same_ports(crowd: Crowd) -> None:
    workers = crowd.pids()
    (admin,) = children_of(crowd.gateway.pid) - set(workers.values())
    os.kill(admin, signal.SIGKILL)
    crowd.gateway.wait(lambda: crowd.gateway.events("admin process ended"))
    assert crowd.pids() == workers


SCRIPT = """
import asyncio, os, socket, sys
from tidings.errors import SettingsError
from tidings.ops.settings.common import OpsSettings
from tidings.ops.process.workers import run_workers

class Odd:
    name = "odd"
    def __init__(self, composing):
        self.composing = composing
    async def start(self):
        {start}
    async def stop(self):
        pass

settings = OpsSettings(admin_port=0, probe_port=0, log_format="json")
listen = lambda: [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
try:
    sys.exit(run_workers(settings, "Odd", listen, lambda runtime, listener: [Odd(listener)]))
except SettingsError as error:
    print("odd:", error, file=sys.stderr)
    sys.exit(2)
"""


def odd_workers(start: str) -> subprocess.Popen[str]:
    """Three workers whose only service starts like this."""
    return subprocess.Popen([sys.executable, "-c", SCRIPT.format(start=start)], stderr=subprocess.PIPE, text=True)


def test_what_the_operator_has_to_change_is_told_once_and_ends_all() -> None:
    with odd_workers('raise SettingsError("--file: there is none")') as running:
        _, said = running.communicate(timeout=patient(DEADLINE))
    assert running.returncode == 2
    assert said.count("odd: --file: there is none\n") == 1
    assert "Traceback" not in said
    assert "next_start_seconds" not in said


def test_a_worker_that_keeps_dying_is_started_ever_more_rarely() -> None:
    with odd_workers("asyncio.get_running_loop().call_later(0.01, os._exit, 7)") as running:
        assert running.stderr is not None
        pauses: list[float] = []
        for line in running.stderr:
            if '"worker": 2' in line and "next_start_seconds" in line:
                assert '"exit_code": 7' in line
                pauses.append(float(line.partition('"next_start_seconds": ')[2].split(",")[0].strip("}\n ")))
            if len(pauses) == 5:
                break
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=patient(DEADLINE))
        assert running.returncode == 0
    assert pauses[4] > 4 * pauses[0]


def test_a_crash_is_logged_with_its_traceback_and_tried_again() -> None:
    with odd_workers('raise RuntimeError("odd indeed")') as running:
        assert running.stderr is not None
        seen = ""
        while seen.count('"exit_code": 1') < 4:
            seen += running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=patient(DEADLINE))
    assert "odd indeed" in seen


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gateway", "--workers", "2"], "tidings gateway: --workers (TIDINGS_WORKERS): a memory:// log reaches no"),
        (["up", "--workers", "2"], "tidings up: --workers (TIDINGS_WORKERS): a memory:// log reaches no"),
        (["up", "--workers", "2", "--bus", "amqp://h/"], "tidings up: --workers (TIDINGS_WORKERS): tidings up is one"),
        (["gateway", "--workers", "0"], "tidings gateway: --workers (TIDINGS_WORKERS): input should be greater than"),
        (["gateway", "--workers", "2", "--bus", "amqp://h/", "--host", "0.0.0.0"], "tidings gateway: --auth none on"),
    ],
)
def test_settings_that_cannot_be_are_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    ports = ["--port", "0", "--admin-port", "0", "--probe-port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "tidings", *arguments, *ports],
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(30),
    )
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_a_port_of_another_gateway_is_not_shared(crowd: Crowd) -> None:
    port = str(crowd.gateway.ports["gateway"])
    other = Tidings("gateway", "--bus", "amqp://h/", "--workers", "2", "--port", port)
    assert other.process.wait(patient(DEADLINE)) == 2
    other.kill()
    assert any(f"port {port}: Address already in use" in line for line in other.stray)
