"""Processes as users run them: a mail lands in a Maildir, a client of the gateway is told."""

from __future__ import annotations

import asyncio
import mailbox
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path

import httpx2
import pytest

from tests.support.broker import Broker
from tests.support.clients import jmap_client
from tests.support.events import event
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient

TOKEN = "ingest-token-of-tests"


def mail(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "carol@mail.example", "alice@mail.example", subject
    message.set_content("Hello.")
    return message


def deliver(root: Path, account: str, subject: str) -> None:
    """Deliver as another program would."""
    mailbox.Maildir(root / account).add(mail(subject))


def post(ingest: str, *events: dict[str, object]) -> httpx2.Response:
    return httpx2.post(
        f"{ingest}/v1/changes",
        json=list(events),
        headers={"Content-Type": "application/cloudevents-batch+json", "Authorization": f"Bearer {TOKEN}"},
    )


def probe(service: Tidings, path: str) -> int:
    return httpx2.get(service.url("probe", path)).status_code


def websocket(gateway: Tidings, account: str = "alice") -> str:
    return gateway.url("gateway", f"/jmap/ws?account={account}", "ws")


class Suite:
    """Publisher, gateway and webmail in processes of their own, on one broker and one Maildir root."""

    def __init__(self, bus: str, directory: Path, stack: ExitStack) -> None:
        self.root = directory / "mail"
        self.root.mkdir()
        mailbox.Maildir(self.root / "alice", create=True)
        self._bus = bus
        self._state = directory / "state"
        self._stack = stack
        self.publisher = self.start_publisher()
        self.gateway = self.start_gateway()

    def start_publisher(self) -> Tidings:
        flags = ("--bus", self._bus, "--maildir", str(self.root), "--state-dir", str(self._state))
        return self._start("publisher", *flags)

    def start_gateway(self, *flags: str) -> Tidings:
        return self._start("gateway", "--bus", self._bus, "--coalesce-ms", "0", *flags)

    def _start(self, command: str, *flags: str) -> Tidings:
        started = self._stack.enter_context(tidings(command, *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}))
        started.wait_connected()
        return started

    @property
    def ingest(self) -> str:
        return self.publisher.url("ingest")


@pytest.fixture
def suite(bus_url: str, tmp_path: Path) -> Iterator[Suite]:
    with ExitStack() as stack:
        yield Suite(bus_url, tmp_path, stack)


async def test_all_in_one_tells_of_a_delivery_by_another_program(tmp_path: Path) -> None:
    root = tmp_path / "mail"
    with tidings("up", "--maildir", str(root), "--state-dir", str(tmp_path / "state")) as up:
        async with jmap_client(websocket(up)) as client:
            await client.subscribe()
            deliver(root, "alice", "hello")
            told: set[str] = set()
            # An account that is new may be told of before its first mail is there.
            while not told >= {"Email", "Mailbox", "Thread"}:
                told |= (await client.changed())["alice"].keys()
        assert up.stop() == 0
        assert not up.stray


async def test_over_rabbitmq_a_delivery_by_maildrop_reaches_the_client(suite: Suite) -> None:
    async with jmap_client(websocket(suite.gateway)) as client:
        await client.subscribe()
        if maildrop := shutil.which("maildrop"):
            filter_file = suite.root.parent / "filter"
            filter_file.write_text(f'to "{suite.root}/alice"\n')
            filter_file.chmod(0o600)
            delivering = await asyncio.create_subprocess_exec(maildrop, str(filter_file), stdin=subprocess.PIPE)
            await delivering.communicate(bytes(mail("by maildrop")))
            assert delivering.returncode == 0
        else:
            deliver(suite.root, "alice", "by Python")
        assert "EmailDelivery" in (await client.changed())["alice"]


async def test_over_rabbitmq_what_is_posted_reaches_the_client(suite: Suite) -> None:
    async with jmap_client(websocket(suite.gateway)) as client:
        await client.subscribe()
        answer = post(suite.ingest, event("alice", "s1"), event("bob", "s1"))
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        assert await client.changed() == {"alice": {"Email": "s1"}}


async def test_a_killed_gateway_costs_a_reconnect_and_nothing_else(suite: Suite) -> None:
    async with jmap_client(websocket(suite.gateway)) as client:
        await client.subscribe()
        cursor = client.cursor
    suite.gateway.kill()
    assert post(suite.ingest, event("alice", "missed")).status_code == 202
    gateway = suite.start_gateway()
    async with jmap_client(websocket(gateway)) as client:
        assert await client.subscribe(since=cursor) == {"alice": {"Email": "missed"}}


async def test_a_killed_publisher_announces_what_was_delivered_meanwhile(suite: Suite) -> None:
    async with jmap_client(websocket(suite.gateway)) as client:
        await client.subscribe()
        deliver(suite.root, "alice", "before")
        await client.changed()
        suite.publisher.kill()
        deliver(suite.root, "alice", "while it was down")
        await asyncio.to_thread(suite.start_publisher)
        assert "EmailDelivery" in (await client.changed())["alice"]


async def test_two_gateways_tell_the_same(suite: Suite) -> None:
    other = suite.start_gateway()
    async with jmap_client(websocket(suite.gateway)) as one, jmap_client(websocket(other)) as two:
        await one.subscribe()
        await two.subscribe()
        deliver(suite.root, "alice", "hello")
        assert await one.changed() == await two.changed()
        post(suite.ingest, event("alice", "s"))
        assert await one.changed() == await two.changed() == {"alice": {"Email": "s"}}
        cursor = one.cursor
    async with jmap_client(websocket(other)) as moved:
        assert await moved.subscribe(since=cursor) == {}


async def test_a_broker_that_is_away_at_start_is_waited_for(tmp_path: Path) -> None:
    with Broker() as broker:
        broker.stop()
        spoolless = ("--state-dir", str(tmp_path / "state"), "--spool-bytes", "0")
        with (
            tidings("gateway", "--bus", broker.url) as gateway,
            tidings("publisher", "--bus", broker.url, *spoolless) as publisher,
        ):
            for service in (gateway, publisher):
                service.wait(lambda service=service: service.events("bus unavailable"))  # type: ignore[misc]
                assert probe(service, "/readyz") == 503
                assert probe(service, "/livez") == 200
                assert not service.stray
            refused = post(publisher.url("ingest"), event("alice", "s"))
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            broker.start()
            for service in (gateway, publisher):
                service.wait(lambda service=service: probe(service, "/readyz") == 200)  # type: ignore[misc]
            async with jmap_client(websocket(gateway)) as client:
                assert await client.subscribe() == {}
        password = broker.url.split(":")[2].split("@")[0]
        assert not any(password in str(event) for service in (gateway, publisher) for event in service.logs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: tidings COMMAND"),
        (["nonsense"], "tidings: there is no command 'nonsense'"),
        (["gateway"], "tidings gateway: --bus (TIDINGS_BUS): memory:// reaches no other process"),
        (["publisher"], "tidings publisher: --bus (TIDINGS_BUS)"),
        (["up", "--port", "x"], "tidings up: --port (TIDINGS_PORT): input should be a valid integer"),
        (["up", "--host", "0.0.0.0"], "tidings up: "),
        (["gateway", "--bus", "amqp://h/", "--auth", "jwt"], "TIDINGS_JWT_SECRET"),
        (["gateway", "--bus", "amqp://h/", "--host", "192.0.2.1", "--insecure"], "192.0.2.1"),
    ],
)
def test_what_the_operator_has_to_change_is_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    ports = [part for flag in ("--admin-port", "--probe-port") for part in (flag, "0")] if len(arguments) > 1 else []
    done = subprocess.run(
        ["tidings", *arguments, *ports],
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(30),
        env=_environment(),
    )
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert said in lines[0]
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ("--maildir", str(tmp_path / "m"), "--state-dir", str(tmp_path / "s"))
        running = Tidings("up", *flags, "--port", port)
        assert running.process.wait(patient(30)) == 2
        running.kill()
        assert [line for line in running.stray if f"{port}" in line or "in use" in line]
        assert not any("Traceback" in line for line in running.stray)


def _environment() -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
    }
