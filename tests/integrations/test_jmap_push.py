"""Stock JMAP clients on a stock JMAP server, on one origin as the page has it: what is pushed is the server's."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import kubernetes_validate  # type: ignore[import-untyped]  # it has annotations, and no py.typed
import pytest
import yaml

from tests.support.clients import jmap_client
from tests.support.cyrus import PASSWORD, Cyrus
from tests.support.jmap_server import basic
from tests.support.nginx import Nginx, block
from tests.support.node import Receiver, running, script
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.roots import REPOSITORY, root
from tests.support.waiting import within

PAGE = REPOSITORY / "docs" / "integrate" / "jmap.md"
JAM = REPOSITORY / "tests" / "integration" / "jmap-jam" / "receive.mjs"
SECRET = "a secret of the gateways, of 32 bytes or more"
SECONDS = 30.0
IDLE_SECONDS = 15.0
MAIL = ("Email", "Mailbox", "Thread")
ATTRIBUTES = {"Email": "email", "Mailbox": "mailbox", "Thread": "thread"}
"""What jmapc calls them."""
WEBSOCKET = "urn:ietf:params:jmap:websocket"


@dataclass
class Installation:
    """A Cyrus, `tidings up` for it, and nginx in front of both."""

    cyrus: Cyrus
    nginx: Nginx
    up: Tidings

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.nginx.port}"

    @property
    def certificate(self) -> str:
        return str(self.nginx.certificate)

    async def get(self, path: str, authorization: str) -> httpx2.Response:
        async with httpx2.AsyncClient(verify=ssl.create_default_context(cafile=self.certificate)) as client:
            return await client.get(f"https://{self.host}{path}", headers={"Authorization": authorization})


@pytest.fixture(scope="module", params=["3.6", "3.10"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("jmap")
    (port,) = free_ports(1)
    with ExitStack() as stack:
        cyrus = stack.enter_context(Cyrus(request.param, "dlist"))
        journal = str(directory / "journal")
        stack.enter_context(tidings("cyrus-notify", "--socket", cyrus.notify_socket, "--journal-dir", journal))
        own = ("--maildir", str(directory / "mail"), "--state-dir", str(directory / "state"), "--journal-dir", journal)
        front = ("--jmap-upstream", f"http://127.0.0.1:{cyrus.http_port}/", "--jmap-proxy-requests")
        public = ("--public-url", f"https://127.0.0.1:{port}", "--trusted-proxy", "127.0.0.1")
        env = {"TIDINGS_JWT_SECRET": SECRET}
        up = stack.enter_context(tidings("up", "--auth", "jwt", *front, *public, *own, env=env))
        addresses = {
            "127.0.0.1:8080": f"127.0.0.1:{up.ports['gateway']}",
            "127.0.0.1:8008": f"127.0.0.1:{cyrus.http_port}",
        }
        nginx = Nginx(port, block(PAGE, "nginx"), addresses)
        stack.enter_context(nginx)
        yield Installation(cyrus, nginx, up)


@asynccontextmanager
async def jmapc(installation: Installation) -> AsyncIterator[Receiver]:
    """A stock reader of alice's mail that knows the server's state."""
    command = (sys.executable, "-m", "tests.support.jmapc_reader", installation.host, "alice", PASSWORD)
    path = ":".join(part for part in sys.path if part)
    async with running(*command, env={"REQUESTS_CA_BUNDLE": installation.certificate, "PYTHONPATH": path}) as client:
        assert "state" in await client.receive()
        yield client


async def states(installation: Installation) -> dict[str, str]:
    return await asyncio.to_thread(installation.cyrus.states, "alice")


async def opened(installation: Installation, count: float) -> None:
    """Wait until so many event streams have been opened in all."""
    async with httpx2.AsyncClient() as client, within(SECONDS):
        while True:
            metrics = (await client.get(installation.up.url("probe", "/metrics"))).text
            if f'tidings_resumes_total{{outcome="fresh"}} {count}' in metrics:
                return
            await asyncio.sleep(0.05)


async def fresh(installation: Installation) -> float:
    async with httpx2.AsyncClient() as client:
        metrics = (await client.get(installation.up.url("probe", "/metrics"))).text
    (line,) = [line for line in metrics.splitlines() if line.startswith('tidings_resumes_total{outcome="fresh"}')]
    return float(line.rpartition(" ")[2])


async def test_jmapc_is_pushed_the_servers_own_states(installation: Installation) -> None:
    before = await fresh(installation)
    async with jmapc(installation) as client:
        await opened(installation, before + 1)
        for _ in range(4):
            await asyncio.to_thread(installation.cyrus.deliver, "alice")
            expected = await states(installation)
            created = 0
            told: dict[str, str] = {}
            while told != expected or not created:
                event = await client.receive()
                created += event["created"]
                pushed = event["changed"]["alice"]
                told |= {name: pushed[attribute] for name, attribute in ATTRIBUTES.items() if pushed[attribute]}
            # What it fetched when it was told is all that there was.
            assert (created, event["state"]) == (1, expected["Email"])


async def test_jmap_jam_is_pushed_the_servers_own_states(installation: Installation) -> None:
    before = await fresh(installation)
    url = f"https://{installation.host}/.well-known/jmap"
    options = json.dumps({"types": "*", "ping": 0})
    certificate = {"NODE_EXTRA_CA_CERTS": installation.certificate}
    async with script(JAM, url, installation.cyrus.token("alice"), options, env=certificate) as client:
        await opened(installation, before + 1)
        for _ in range(4):
            await asyncio.to_thread(installation.cyrus.deliver, "alice")
            expected = await states(installation)
            told: dict[str, str] = {}
            while {name: told.get(name) for name in MAIL} != expected:
                event = await client.receive()
                told |= event["data"]["changed"].get("alice", {})
            assert "EmailDelivery" in told


async def test_a_wrong_password_is_refused_by_the_server(installation: Installation) -> None:
    for path in ("/.well-known/jmap", "/.well-known/jmap/"):
        refused = await installation.get(path, basic("alice", "wrong"))
        assert refused.status_code == 401
        assert "basic" in refused.headers["www-authenticate"].lower()
        assert (await installation.get(path, basic("alice", PASSWORD))).json()["username"] == "alice"
    refused = await installation.get("/jmap/eventsource?types=*&closeafter=no&ping=0", basic("alice", PASSWORD))
    assert refused.status_code == 401


async def test_a_push_url_opens_pushes_and_no_mail(installation: Installation) -> None:
    """Of the webmail that `tidings up` has, which takes tokens of the secret."""
    session = (await installation.get("/.well-known/jmap", basic("alice", PASSWORD))).json()
    token = session["eventSourceUrl"].rpartition("access_token=")[2]
    for path, status in (("/jmap/changes", 200), ("/api/messages", 401)):
        async with httpx2.AsyncClient() as client:
            url = installation.up.url("gateway", f"{path}?access_token={token}")
            assert (await client.get(url)).status_code == status


async def test_nobody_asks_the_server_while_nothing_happens(installation: Installation) -> None:
    before = await fresh(installation)
    async with jmapc(installation) as client:
        await opened(installation, before + 1)
        asked = installation.nginx.requests()
        assert asked
        await asyncio.sleep(IDLE_SECONDS)
        assert installation.nginx.requests() == asked
        await asyncio.to_thread(installation.cyrus.deliver, "alice")
        assert (await client.receive())["changed"]["alice"]["email"]


async def test_requests_over_the_websocket_are_the_servers_to_answer(installation: Installation) -> None:
    shown = basic("alice", PASSWORD)
    session = (await installation.get("/.well-known/jmap", shown)).json()
    url = session["capabilities"][WEBSOCKET]["url"]
    tls = ssl.create_default_context(cafile=installation.certificate)
    async with jmap_client(url, additional_headers={"Authorization": shown}, ssl=tls) as client:
        await client.subscribe()
        await asyncio.to_thread(installation.cyrus.deliver, "alice")
        expected = await states(installation)
        told: dict[str, str] = {}
        while {name: told.get(name) for name in MAIL} != expected:
            told |= (await client.changed(SECONDS))["alice"]
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        call = ["Email/get", {"accountId": "alice", "ids": []}, "c"]
        await client.send(**{"@type": "Request", "id": "R1", "using": using, "methodCalls": [call]})
        answer: dict[str, Any] = await client.receive(SECONDS)
        assert (answer["@type"], answer["requestId"]) == ("Response", "R1")
        assert answer["methodResponses"][0][1]["state"] == told["Email"]
        assert "sessionState" in answer
        await client.send(**{"@type": "Request", "id": "R2", "using": using, "methodCalls": "none"})
        error = await client.receive(SECONDS)
        assert (error["@type"], error["requestId"], error["status"]) == ("RequestError", "R2", 400)


def test_nginx_takes_the_configuration_of_the_page() -> None:
    nginx = Nginx(1, block(PAGE, "nginx"), {})
    try:
        nginx.check()
    finally:
        nginx.close()


def test_caddy_takes_the_configuration_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(block(PAGE, "caddy"))
    place = root("bookworm", "caddy")
    place.run("caddy", "validate", "--adapter", "caddyfile", "--config", f"{tmp_path}/Caddyfile", shown=tmp_path)


def test_kubernetes_takes_the_ingress_of_the_page() -> None:
    kubernetes_validate.validate(yaml.safe_load(block(PAGE, "yaml")), "1.34", strict=True)
