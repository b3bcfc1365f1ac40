"""Caps, as clients meet them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
import websockets

from tests.support.clients import event_stream, eventually, jmap_client, raw_client, upgrade
from tests.support.frames import masked
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
                async with httpx2.AsyncClient() as client:
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
    async with running_gateway(max_upgrades_per_second=1) as gateway, httpx2.AsyncClient() as client:
        answers = [(await client.get(gateway.http_url("/jmap/changes"))).status_code for _ in range(10)]
        assert answers[0] == 200
        assert 503 in answers
        assert gateway.value("tidings_rejections_total", reason="too_fast") == answers.count(503)


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "198.51.100.{}:44{}"},
        {"X-Forwarded-For": "192.0.2.1, [2001:db8:{}::1]:44{}, 127.0.0.2:80"},
        {"Forwarded": 'for=192.0.2.1, for="[2001:db8:{}::1]:44{}";proto=https;by=127.0.0.2'},
        {"Forwarded": "for=198.51.100.{}:44{}"},
    ],
)
async def test_a_client_counts_by_its_address_without_the_port(header: dict[str, str]) -> None:
    ((name, form),) = header.items()
    caps: dict[str, Any] = {"max_connections_per_address": 1, "trusted_proxy": "127.0.0.0/8"}
    async with running_gateway(**caps) as gateway, AsyncExitStack() as open_ones:
        for client in (1, 2, 3):
            fields = {name: form.format(client, 1)}
            await open_ones.enter_async_context(jmap_client(gateway.url(), additional_headers=fields))
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with jmap_client(gateway.url(), additional_headers={name: form.format(1, 2)}):
                pass
        assert caught.value.response.status_code == 429
        assert gateway.value("tidings_forwarded_unreadable_total") == 0


@pytest.mark.parametrize("header", [{"X-Forwarded-For": "unix:"}, {"Forwarded": "for=unknown"}])
async def test_what_a_proxy_says_that_is_no_address_is_counted(header: dict[str, str]) -> None:
    caps: dict[str, Any] = {"max_connections_per_address": 5, "trusted_proxy": "127.0.0.0/8"}
    async with running_gateway(**caps) as gateway:
        for number in range(1, 3):
            async with jmap_client(gateway.url(), additional_headers=header):
                assert gateway.value("tidings_forwarded_unreadable_total") == number


@pytest.mark.parametrize(
    "said",
    [
        masked(TEXT, json.dumps(ECHO).encode()),
        masked(PING, b"x"),
        masked(TEXT, fin=False) + masked(0, fin=False) * 20,
        masked(TEXT, fin=False) + masked(0, b" ", fin=False) * 20,
    ],
    ids=["messages", "pings", "empty fragments", "fragments"],
)
async def test_who_talks_without_end_is_closed(said: bytes) -> None:
    async with running_gateway(max_messages_per_second=2) as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(upgrade())
            await client.head()
            await client.send(said * 21)
            assert await client.close_code() == 1008
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="too_many_messages") == 1
        assert gateway.budget.account("messages").held == 0


async def test_who_sends_bytes_without_end_is_closed() -> None:
    # 10 s of a message a second are 10 KiB, but two messages of full size may come in any case.
    async with running_gateway(max_messages_per_second=1, max_message_bytes=16_384) as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(upgrade())
            await client.head()
            await client.send(masked(TEXT, b" " * 16_000))
            assert (await client.frame())[0] == TEXT
            await client.send(masked(TEXT, b" " * 16_000))
            assert (await client.frame())[0] == TEXT
            await client.send(masked(TEXT, b" " * 16_000))
            assert await client.close_code() == 1008
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="too_many_bytes") == 1
        get = b"GET /jmap/eventsource?account=alice HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        async with raw_client(gateway.port) as client:
            await client.send(get)
            assert await client.status() == 200
            await client.send(b"x" * 50_000)
            await eventually(
                lambda: gateway.registry.get_sample_value(
                    "tidings_connections_closed_total", {"format": "eventsource", "reason": "too_many_bytes"}
                )
            )


async def test_a_message_that_is_not_finished_in_time_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.MESSAGE_SECONDS", 0.5)
    async with running_gateway() as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(upgrade())
            await client.head()
            await client.send(masked(TEXT, b"x" * 5_000, fin=False))
            await eventually(lambda: gateway.budget.account("messages").held > 5_000)

            async def dribble() -> None:
                # Neither a byte nor a ping now and then puts it off.
                while True:
                    await client.send(masked(0, b"x", fin=False) + masked(PING))
                    await asyncio.sleep(0.05)

            dribbling = asyncio.create_task(dribble())
            assert await client.close_code() == 1008
            dribbling.cancel()
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="message_deadline") == 1
        assert gateway.budget.account("messages").held == 0


async def test_unfinished_messages_of_all_clients_are_bounded_and_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 100_000
    monkeypatch.setattr("tidings.gateway.service.MAX_UNFINISHED_BYTES", most)
    half = masked(TEXT, b'{"@type":' + b" " * 20_000, fin=False)
    async with running_gateway() as gateway, AsyncExitStack() as open_ones:
        clients = []
        for number in range(10):
            client = await open_ones.enter_async_context(raw_client(gateway.port))
            clients.append(client)
            await client.send(upgrade(f"/jmap/ws?account=account{number}"))
            await client.head()
            await client.send(half)
            await eventually(lambda: gateway.budget.account("messages").held > 20_000)
            assert gateway.budget.account("messages").held <= most
        assert await clients[0].close_code() == 1013
        closed = {"format": "websocket", "reason": "messages_full"}
        await eventually(lambda: gateway.value("tidings_connections_closed_total", **closed) == 10 - most // 21_500)
        await clients[-1].send(masked(0, b'"WebSocketPushEnable","dataTypes":null}'))
        assert (await clients[-1].frame())[0] == TEXT


async def test_what_clients_do_not_read_is_bounded_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.service.MAX_REPLIES_BYTES", 2_000)
    async with running_gateway() as gateway, AsyncExitStack() as open_ones:
        clients = []
        for number in range(5):
            client = await open_ones.enter_async_context(raw_client(gateway.port))
            clients.append(client)
            await client.send(upgrade() + masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}'))
            await client.head()
            assert (await client.frame())[0] == TEXT, number
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        closed = ("tidings_connections_closed_total", {"format": "websocket", "reason": "replies_full"})
        replies = gateway.budget.account("replies")
        for number in range(20_000):
            await gateway.publish("alice", {"Email": f"{number:0250}"})
            await asyncio.sleep(0)
            assert replies.held <= replies.limit == 2_000
            if gateway.registry.get_sample_value(*closed) == 2:
                break
        assert gateway.value("tidings_connections_blocked") > 0


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
        async with httpx2.AsyncClient() as client_:
            session = (await client_.get(gateway.http_url("/.well-known/jmap"))).json()
        assert session["capabilities"]["urn:ietf:params:jmap:core"]["maxSizeRequest"] == 1024
