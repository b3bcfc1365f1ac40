"""Listening on a Unix socket, as behind a proxy on the same machine."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
import websockets

from tests.support.clients import DEADLINE, EventStream, JmapClient, jmap_client
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.jmap_server import jmap_server
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient
from tidings.errors import SettingsError

WS = "ws://localhost/jmap/ws?account=alice"


@pytest.fixture
def path() -> Iterator[Path]:
    """Short enough for an address, however long that of the test's directory is."""
    with TemporaryDirectory(prefix="tidings-unix-") as directory:
        yield Path(directory) / "gateway.sock"


def http(path: Path) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=patient(DEADLINE))


@asynccontextmanager
async def listening(path: Path, **settings: Any) -> AsyncIterator[RunningGateway]:
    async with running_gateway(host=f"unix:{path}", **settings) as gateway:
        yield gateway


@asynccontextmanager
async def websocket(path: Path, **fields: str) -> AsyncIterator[JmapClient]:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    async with jmap_client(WS, unix=True, path=str(path), additional_headers=headers) as client:
        yield client


async def test_each_transport_is_served(path: Path) -> None:
    async with listening(path) as gateway, http(path) as client, websocket(path) as socket:
        session = (await client.get("/.well-known/jmap?account=alice")).json()
        assert session["eventSourceUrl"].startswith("http://localhost/jmap/eventsource")
        await socket.subscribe()
        async with client.stream("GET", "/jmap/eventsource?account=alice") as response:
            events = EventStream(response)
            assert await events.event()
            await gateway.publish("alice", {"Email": "s1"})
            assert await events.changed() == {"alice": {"Email": "s1"}}
        assert await socket.changed() == {"alice": {"Email": "s1"}}
        await gateway.publish("alice", {"Email": "s2"})
        assert await socket.changed() == {"alice": {"Email": "s2"}}
        assert (await client.get("/jmap/changes?account=alice")).status_code == 200


async def test_the_socket_is_for_its_owner_and_group(path: Path) -> None:
    async with listening(path):
        assert mode(path) == 0o660


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_clients_count_by_the_address_that_the_proxy_writes(path: Path) -> None:
    async with (
        listening(path, max_connections_per_address=1),
        websocket(path, X_Forwarded_For="198.51.100.7") as one,
        websocket(path, Forwarded="for=198.51.100.8") as other,
    ):
        await one.subscribe()
        await other.subscribe()
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websocket(path, X_Forwarded_For="198.51.100.7"):
                pass
        assert refused.value.response.status_code == 429


async def test_who_checks_the_way_is_told_its_address_and_others_are_not(path: Path) -> None:
    async with listening(path), http(path) as client:
        session = "/.well-known/jmap?account=alice"
        named = {"X-Forwarded-For": "198.51.100.7"}
        assert "tidings-client" not in (await client.get(session, headers=named)).headers
        asked = await client.get(session, headers={**named, "Tidings-Check": "1"})
        assert asked.headers["tidings-client"] == "198.51.100.7"
        refused = await client.get("/.well-known/jmap", headers={"Tidings-Check": "1"})
        assert refused.status_code == 401
        assert "tidings-client" not in refused.headers


async def test_a_name_of_elsewhere_is_refused_without_authentication(path: Path) -> None:
    async with listening(path), http(path) as client:
        answer = await client.get("/jmap/changes?account=alice", headers={"Host": "mail.example"})
        assert answer.status_code == 403


async def test_one_that_lives_is_refused_and_what_it_leaves_is_replaced(path: Path) -> None:
    async with listening(path):
        with pytest.raises(SettingsError, match=f"another process listens at {path}"):
            async with listening(path):
                pass
    assert mode(path) == 0o660
    async with listening(path), websocket(path) as client:
        await client.subscribe()


async def test_the_server_behind_hears_whom_the_proxy_names(path: Path) -> None:
    async with (
        jmap_server() as server,
        listening(path, auth="jwt", jwt_secret="s" * 32, jmap_upstream=server.url),
        http(path) as client,
    ):
        fields = {"Authorization": "Basic YWxpY2U6YWxpY2U=", "X-Forwarded-For": "198.51.100.7"}
        await client.get("/.well-known/jmap", headers=fields)
        assert {seen.headers["x-forwarded-for"] for seen in server.requests} == {"198.51.100.7"}


async def test_workers_all_accept_from_it(path: Path, bus_url: str) -> None:
    with tidings("gateway", "--bus", bus_url, "--host", f"unix:{path}", "--workers", "2") as gateway:
        assert {event["socket"] for event in gateway.events("listening") if event["service"] == "gateway"} == {
            str(path)
        }
        async with websocket(path) as client:
            await client.subscribe()


def test_a_publisher_is_told_and_a_webmail_asked_there(path: Path, bus_url: str, tmp_path: Path) -> None:
    told = {"specversion": "1.0", "id": "1", "source": "/test", "type": "mail.FlagsSet", "subject": "alice"}
    event = {**told, "time": "2026-01-01T00:00:00Z", "data": {"changed": {"Email": "s1"}}}
    own = path.with_name("other.sock")
    state, mail = str(tmp_path / "state"), str(tmp_path / "mail")
    with (
        tidings("publisher", "--bus", bus_url, "--host", f"unix:{path}", "--state-dir", state) as publisher,
        tidings("webmail", "--host", f"unix:{own}", "--maildir", mail),
    ):
        publisher.wait_connected()
        assert post(path, event).status_code == 202
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(own))) as client:
            assert client.get("http://localhost/").status_code == 200


def post(path: Path, event: dict[str, Any]) -> httpx2.Response:
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), timeout=patient(DEADLINE)) as client:
        fields = {"Content-Type": "application/cloudevents+json"}
        return client.post("http://localhost/v1/changes", json=event, headers=fields)


def test_everything_in_one_process_wants_ports(path: Path) -> None:
    running = Tidings("up", "--host", f"unix:{path}")
    assert running.process.wait(patient(DEADLINE)) == 2
    assert running.stop() == 2
    assert any("listens on two ports" in line for line in running.stray)
