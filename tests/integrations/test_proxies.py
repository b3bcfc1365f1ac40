"""The configurations of docs/operate/proxies.md, run by the programs they are for; Traefik: tests/cluster."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.clients import DEADLINE, EventStream, jmap_client
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.reverse_proxy import CONFIGURATIONS, DEBIAN, ReverseProxy
from tests.support.roots import REPOSITORY
from tests.support.waiting import eventually, patient, within

PAGE = REPOSITORY / "docs" / "operate" / "proxies.md"
IDLE_SECONDS = 65
"""Longer than any of these proxies waits for a server unless it is told otherwise: 60 s."""


@pytest.fixture(scope="module")
def proxies() -> Iterator[dict[str, ReverseProxy]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(ReverseProxy(kind)) for name, kind in DEBIAN.items()}


@pytest.fixture(params=DEBIAN)
def proxy(request: pytest.FixtureRequest, proxies: dict[str, ReverseProxy]) -> ReverseProxy:
    return proxies[request.param]


@asynccontextmanager
async def behind(proxy: ReverseProxy) -> AsyncIterator[RunningGateway]:
    """A gateway behind a proxy. It serves anybody, under whichever name."""
    async with running_gateway(**proxy.gateway, public_url=proxy.url, insecure=True) as gateway:
        yield gateway


def asking(proxy: ReverseProxy) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(verify=trusting(proxy), base_url=proxy.url, timeout=patient(DEADLINE))


def trusting(proxy: ReverseProxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(proxy.certificate))


@pytest.mark.parametrize("path", sorted(CONFIGURATIONS.iterdir()), ids=lambda path: path.name)
def test_the_page_shows_the_file(path: Path) -> None:
    assert f"\n{path.read_text()}```\n" in PAGE.read_text()


async def test_each_transport_goes_through_and_clients_have_their_address(proxy: ReverseProxy) -> None:
    socket_url = f"{proxy.url}/jmap/ws?account=alice".replace("https", "wss")
    async with (
        behind(proxy) as gateway,
        asking(proxy) as http,
        jmap_client(socket_url, ssl=trusting(proxy)) as client,
    ):
        session = await http.get("/.well-known/jmap?account=alice", headers={"Tidings-Check": "1"})
        assert session.headers["tidings-client"] == "127.0.0.1"
        assert session.json()["eventSourceUrl"].startswith(proxy.url)
        await client.subscribe()
        async with http.stream("GET", "/jmap/eventsource?account=alice") as response:
            events = EventStream(response)
            assert await events.event()
            await gateway.publish("alice", {"Email": "s1"})
            # At once: what is held back until there is more of it never comes.
            assert await events.changed() == {"alice": {"Email": "s1"}}
        assert await client.changed() == {"alice": {"Email": "s1"}}
        cursor = (await http.get("/jmap/changes?account=alice")).json()["pushState"]
        async with within(DEADLINE):
            polling = asyncio.create_task(http.get(f"/jmap/changes?account=alice&wait=30&since={cursor}"))
            await eventually(lambda: gateway.value("tidings_connections_open", format="poll") == 1)
            await gateway.publish("alice", {"Email": "s2"})
            assert (await polling).json()["changed"] == {"alice": {"Email": "s2"}}
        assert await client.changed() == {"alice": {"Email": "s2"}}


async def test_a_poll_may_wait_for_longer_than_proxies_do_by_themselves(proxies: dict[str, ReverseProxy]) -> None:
    async def waited(proxy: ReverseProxy) -> int:
        async with behind(proxy), asking(proxy) as http:
            cursor = (await http.get("/jmap/changes?account=alice")).json()["pushState"]
            query = {"account": "alice", "since": cursor, "wait": IDLE_SECONDS}
            answer = await http.get("/jmap/changes", params=query, timeout=IDLE_SECONDS + patient(DEADLINE))
            return answer.status_code

    answers = await asyncio.gather(*map(waited, proxies.values()))
    assert dict(zip(proxies, answers, strict=True)) == dict.fromkeys(proxies, 304)
