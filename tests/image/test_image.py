"""The image as it is run: not root, nothing to write to, no capabilities; and the whole pipeline out of it."""

from __future__ import annotations

import asyncio
import json
import mailbox
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests.image.engine import Engine
from tests.support.broker import Broker
from tests.support.clients import jmap_client
from tests.support.processes import Tidings, tidings

UID = 65532
TOKEN = "ingest-token"
KILLED = 137


class Suite:
    """Publisher, gateway and webmail in containers of their own, on one broker and one Maildir root."""

    def __init__(self, docker: Engine, image: str, bus: str, directory: Path, stack: ExitStack) -> None:
        self._docker = docker
        self._image = image
        self._stack = stack
        self._bus = bus
        self.mail = directory / "mail"
        self.state = directory / "state"
        for each in (self.mail, self.state):
            each.mkdir()
            os.chown(each, UID, UID)
        self.webmail = self.start("webmail", {self.mail: "/data/mail"})
        self.publisher = self.start("publisher", {self.mail: "/data/mail", self.state: "/data/state"})
        self.gateway = self.start_gateway()

    def start_gateway(self, *flags: str) -> Tidings:
        return self.start("gateway", {}, "--coalesce-ms", "0", *flags)

    def start(self, command: str, mounts: dict[Path, str], *flags: str) -> Tidings:
        env = {"TIDINGS_INGEST_TOKENS": TOKEN, "TIDINGS_BUS": self._bus}
        self.name = f"tidings-{uuid.uuid4().hex[:12]}"
        program = self._docker.restricted(self.name, self._image, mounts, sorted(env))
        started = self._stack.enter_context(
            tidings(command, *flags, env={**self._docker.environment, **env}, program=program)
        )
        if command != "webmail":
            started.wait_connected()
        return started

    def deliver(self, subject: str) -> None:
        """Deliver as another program of the mail's owner would."""
        box = mailbox.Maildir(self.mail / "alice")
        key = box.add(f"Subject: {subject}\n\nHello.")
        os.chown(self.mail / "alice" / "new" / key, UID, UID)

    def client(self) -> str:
        return self.gateway.url("gateway", "/jmap/ws?account=alice", "ws")


@pytest.fixture
def suite(docker: Engine, image: str, broker: Broker, tmp_path: Path) -> Iterator[Suite]:
    # Others than root have to get to what is mounted.
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    with ExitStack() as stack:
        yield Suite(docker, image, broker.fresh_url(), tmp_path, stack)


def test_labels_and_command_say_the_version(docker: Engine, image: str) -> None:
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.version"] == version("tidings")
    assert labels["org.opencontainers.image.revision"] == "0123abc"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert docker("run", "--rm", "--network", "host", image, "--version") == f"tidings {version('tidings')}"


def test_it_is_nobody_and_holds_no_capability(docker: Engine, image: str) -> None:
    program = docker.restricted(f"tidings-{uuid.uuid4().hex[:12]}", image, {}, ())
    status = docker(*program[1:-1], "--entrypoint", "cat", image, "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == [str(UID)] * 4
    assert fields["Gid"].split() == [str(UID)] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_nothing_in_it_is_its_users_to_change_but_the_data(docker: Engine, image: str) -> None:
    look = ["/data", "/opt", "/usr", "-user", str(UID)]
    found = docker("run", "--rm", "--network", "host", "--user", "0", "--entrypoint", "find", image, *look)
    assert set(found.splitlines()) == {"/data", "/data/mail", "/data/state"}


async def test_mail_and_events_reach_a_client(suite: Suite) -> None:
    async with jmap_client(suite.client()) as client:
        await client.subscribe()
        suite.deliver("hello")
        assert set((await client.changed())["alice"]) >= {"Email", "Mailbox", "Thread"}
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "test",
            "type": "mail.FlagsSet",
            "subject": "alice",
            "data": {"changed": {"Email": "s1"}},
        }
        headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient() as http:
            answer = await http.post(suite.publisher.url("ingest", "/v1/changes"), json=event, headers=headers)
            assert answer.status_code == 202
            assert await client.changed() == {"alice": {"Email": "s1"}}
            page = await http.get(suite.webmail.url("webmail", "/"))
            assert page.status_code == 200
    for service in (suite.publisher, suite.gateway, suite.webmail):
        assert await asyncio.to_thread(service.stop) == 0
        assert not service.stray


async def test_a_killed_gateway_costs_a_reconnect_and_nothing_else(suite: Suite, docker: Engine) -> None:
    async with jmap_client(suite.client()) as client:
        await client.subscribe()
        cursor = client.cursor
    docker("kill", suite.name)
    assert await asyncio.to_thread(suite.gateway.stop) == KILLED
    suite.deliver("while it was gone")
    suite.gateway = suite.start_gateway("--workers", "2")
    async with jmap_client(suite.client()) as client:
        assert "EmailDelivery" in (await client.subscribe(since=cursor))["alice"]
