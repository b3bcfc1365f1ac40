"""Gateways in groups: where sessions lead, and that any gateway serves anybody, whatever group a path names."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.support.clients import event_stream, jmap_client
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.jmap_server import basic, jmap_server
from tidings.bus.memory import MemoryLog
from tidings.gateway.codecs.jmap import WEBSOCKET
from tidings.wire.shard import shard_of

SHARDS = 8
PLACES = ("/g/0", "/g/3", f"/g/{SHARDS + 1}", "/g/1023")
"""The last two are of no group: somebody was led here when there were more."""


async def session(gateway: RunningGateway, account: str = "alice", **headers: str) -> dict[str, Any]:
    async with httpx2.AsyncClient() as http:
        answer = await http.get(gateway.http_url("/.well-known/jmap", f"account={account}"), headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


async def test_the_session_leads_to_the_group_that_reads_the_primary_account() -> None:
    async with running_gateway(groups=4) as gateway:
        for account in ("alice", "bob", "carol"):
            found = await session(gateway, account)
            base = f"127.0.0.1:{gateway.port}/g/{shard_of(account, SHARDS) % 4}/jmap"
            url = found["capabilities"][WEBSOCKET]["url"]
            assert url == f"ws://{base}/ws?account={account}"
            assert found["eventSourceUrl"].startswith(f"http://{base}/eventsource?types=")
            assert found["apiUrl"] == f"http://127.0.0.1:{gateway.port}/jmap/api"
            async with jmap_client(url) as client:
                assert await client.subscribe() == {}


async def test_groups_may_have_hosts_of_their_own() -> None:
    template = "https://push{group}.mail.example/"
    async with running_gateway(groups=4, group_url=template, public_url="https://mail.example") as gateway:
        found = await session(gateway)
    assert found["capabilities"][WEBSOCKET]["url"] == "wss://push3.mail.example/jmap/ws?account=alice"
    assert found["apiUrl"] == "https://mail.example/jmap/api"


async def test_sessions_of_a_jmap_server_lead_to_groups_too() -> None:
    async with (
        jmap_server() as server,
        running_gateway(
            auth="jwt", jwt_secret=SECRET, jmap_upstream=server.url, jmap_proxy_requests=True, groups=4
        ) as gateway,
    ):
        found = await session(gateway, authorization=basic("alice"))
        base = f"127.0.0.1:{gateway.port}"
        assert found["apiUrl"] == f"http://{base}/jmap/"
        assert found["eventSourceUrl"].startswith(f"http://{base}/g/3/jmap/eventsource?")
        async with jmap_client(found["capabilities"][WEBSOCKET]["url"]) as client:
            assert await client.subscribe() == {}
            await gateway.publish("alice", {"Email": "s1"})
            assert await client.changed() == {"alice": {"Email": "s1"}}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("groups", [1, 4])
async def test_any_gateway_serves_anybody_over_every_transport(groups: int, place: str) -> None:
    async with running_gateway(groups=groups) as gateway, httpx2.AsyncClient() as http:
        changes = gateway.http_url(f"{place}/jmap/changes/")
        since = (await http.get(changes)).headers["etag"].strip('"')
        async with (
            jmap_client(gateway.url(path=f"{place}/jmap/ws")) as client,
            event_stream(gateway.http_url(f"{place}/jmap/eventsource")) as stream,
        ):
            assert await client.subscribe() == {}
            assert (await stream.event()) is not None
            await gateway.publish("alice", {"Email": "s1"})
            assert await client.changed() == {"alice": {"Email": "s1"}}
            assert await stream.changed() == {"alice": {"Email": "s1"}}
        told = await http.get(changes, params={"account": "alice", "since": since})
        assert told.json()["changed"] == {"alice": {"Email": "s1"}}


async def test_what_is_no_group_is_another_path() -> None:
    async with running_gateway() as gateway, httpx2.AsyncClient() as http:
        for path in ("/g/01/jmap/changes", "/g/1024/jmap/changes", "/g/1/g/1/jmap/changes", "/g//jmap/changes", "/g/1"):
            assert (await http.get(gateway.http_url(path))).status_code == 404


async def test_paths_of_groups_are_for_pages_of_allowed_origins_like_others() -> None:
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with running_gateway(allow_origin=["https://mail.example"]) as gateway, httpx2.AsyncClient() as http:
        url = gateway.http_url("/g/2/jmap/changes")
        for origin, status in (("https://mail.example", 204), ("https://evil.example", 403)):
            assert (await http.options(url, headers={"Origin": origin, **asking})).status_code == status
            fields = (await http.get(url, headers={"Origin": origin})).headers
            assert ("access-control-allow-origin" in fields) is (status == 204)


async def test_a_cursor_of_one_group_is_good_in_another() -> None:
    log = MemoryLog(shards=SHARDS)
    await log.open()
    async with running_gateway(log=log, groups=4) as one, running_gateway(log=log, groups=2) as other:
        async with jmap_client(one.url(path="/g/3/jmap/ws")) as client:
            assert await client.subscribe() == {}
            cursor = client.cursor
        await one.publish("alice", {"Email": "meanwhile"})
        async with jmap_client(other.url(path="/g/1/jmap/ws")) as client:
            assert await client.subscribe(since=cursor) == {"alice": {"Email": "meanwhile"}}
    await log.close()
