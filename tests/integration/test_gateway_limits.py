"""Caps, as clients meet them."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import websockets

from tests.support.clients import event_stream, eventually, jmap_client, masked, raw_client, upgrade
from tests.support.gateway import running_gateway

TEXT, PING = 1, 9
ECHO = {"@type": "Request", "id": "e", "using": [], "methodCalls": [["Core/echo", {}, "c"]]}


@pytest.mark.parametrize(
    ("caps", "status", "reason"),
    [
        ({"max_connections": 2}, 503, "full"),
        ({"max_connections_per_account": 2}, 429, "account_full"),
        ({"max_connections_per_address": 2}, 429, "address_full"),
    ],
)
async def test_who_is_one_too_many_is_told_when_to_come_back(caps: dict[str, Any], status: int, reason: str) -> None:
    async with running_gateway(**caps) as gateway:
        stream = gateway.http_url("/jmap/eventsource")
        async with jmap_client(gateway.url()) as first:
            async with event_stream(stream) as second:
                await first.subscribe()
                await second.event()
                with pytest.raises(websockets.InvalidStatus) as caught:
                    async with jmap_client(gateway.url()):
                        pass
                assert caught.value.response.status_code == status
                assert 0 < int(caught.value.response.headers["Retry-After"]) <= 60
                async with httpx.AsyncClient() as client:
                    answer = await client.get(gateway.http_url("/jmap/changes"))
                assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
                assert gateway.value("tidings_rejections_total", reason=reason) == 2
                await gateway.publish("alice", {"Email": "1"})
                assert await first.changed() == await second.changed() == {"alice": {"Email": "1"}}
            await eventually(lambda: gateway.value("tidings_connections_open", format="eventsource") == 0)
            async with jmap_client(gateway.url()) as third:
                assert await third.subscribe() == {}


async def test_behind_a_trusted_proxy_the_client_is_counted_and_without_one_the_proxy() -> None:
    one: dict[str, Any] = {"max_connections_per_address": 1}
    clients = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(3)]
    async with running_gateway(**one, trusted_proxy="127.0.0.0/8") as gateway, AsyncExitStack() as open_ones:
        for headers in clients:
            await open_ones.enter_async_context(jmap_client(gateway.url(), additional_headers=headers))
        with pytest.raises(websockets.InvalidStatus):
            await open_ones.enter_async_context(jmap_client(gateway.url(), additional_headers=clients[0]))
    async with running_gateway(**one) as gateway, jmap_client(gateway.url(), additional_headers=clients[0]):
        with pytest.raises(websockets.InvalidStatus):
            async with jmap_client(gateway.url(), additional_headers=clients[1]):
                pass


async def test_more_upgrades_than_fit_a_second_are_told_to_wait() -> None:
    async with running_gateway(max_upgrades_per_second=1) as gateway, httpx.AsyncClient() as client:
        answers = [(await client.get(gateway.http_url("/jmap/changes"))).status_code for _ in range(10)]
        assert answers[0] == 200
        assert 503 in answers
        assert gateway.value("tidings_rejections_total", reason="too_fast") == answers.count(503)


@pytest.mark.parametrize("said", [masked(TEXT, json.dumps(ECHO).encode()), masked(PING, b"x")])
async def test_who_talks_without_end_is_closed(said: bytes) -> None:
    async with running_gateway(max_messages_per_second=2) as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(upgrade())
            await client.head()
            await client.send(said * 21)
            assert await client.close_code() == 1008
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="too_many_messages") == 1


async def test_sizes_and_the_head_deadline_are_what_was_set() -> None:
    async with running_gateway(max_message_bytes=1024, max_head_bytes=1024, head_seconds=0.3) as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(upgrade())
            await client.head()
            await client.send(masked(TEXT, b"x" * 1025))
            assert await client.close_code() == 1009
        async with raw_client(gateway.port) as client:
            await client.send(upgrade(Padding="x" * 1024))
            assert await client.status() == 431
        async with raw_client(gateway.port) as client:
            await client.send(b"GET /jmap/ws")
            assert await client.rest() == b""
        assert gateway.value("tidings_head_deadlines_total") == 1
        async with httpx.AsyncClient() as client_:
            session = (await client_.get(gateway.http_url("/.well-known/jmap"))).json()
        assert session["capabilities"]["urn:ietf:params:jmap:core"]["maxSizeRequest"] == 1024
