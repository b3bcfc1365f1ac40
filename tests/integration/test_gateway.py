"""The gateway over real sockets, with an independent WebSocket client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx2
import jwt
import pytest
import websockets
from starlette.responses import PlainTextResponse

from tests.support.clients import DEADLINE, eventually, jmap_client
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.waiting import promised, within
from tidings.bus.memory import MemoryLog
from tidings.gateway.codecs import jmap
from tidings.wire.change import Change


def token(**claims: object) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 60, **claims}, SECRET, "HS256")


async def test_a_subscriber_is_told_where_it_stands_and_then_of_every_change() -> None:
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        assert await client.subscribe() == {}
        hello = client.cursor
        assert hello
        await gateway.publish("alice", {"Email": "s1", "Mailbox": "m1"})
        assert await client.changed() == {"alice": {"Email": "s1", "Mailbox": "m1"}}
        assert client.cursor != hello


async def test_others_changes_and_unwanted_types_are_not_told() -> None:
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe(["Mailbox"])
        await gateway.publish("bob", {"Mailbox": "m"})
        await gateway.publish("alice", {"Email": "e"})
        await gateway.publish("alice", {"Email": "e2", "Mailbox": "m2"})
        assert await client.changed() == {"alice": {"Mailbox": "m2"}}


async def test_nothing_is_told_before_subscribing_and_after_unsubscribing() -> None:
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await gateway.publish("alice", {"Email": "1"})
        assert await client.is_silent()
        await client.subscribe()
        await client.send(**{"@type": "WebSocketPushDisable"})
        assert await client.is_silent()
        await gateway.publish("alice", {"Email": "2"})
        assert await client.is_silent()


async def test_a_change_without_a_state_gets_the_same_one_in_every_gateway() -> None:
    log = MemoryLog(shards=8)
    await log.open()
    async with (
        running_gateway(log=log) as one,
        running_gateway(log=log) as two,
        jmap_client(one.url()) as first,
        jmap_client(two.url()) as second,
    ):
        await first.subscribe()
        await second.subscribe()
        told = []
        for _ in range(2):
            await one.publish("alice", {"Email": None})
            # Before the next one: what a gateway reads together, it tells together.
            told.append(await first.changed())
            assert await second.changed() == told[-1]
        assert told[0] != told[1]
    await log.close()


async def test_changes_within_the_interval_are_coalesced_and_the_first_is_told_at_once() -> None:
    interval = promised(0.2)
    async with running_gateway(coalesce_ms=round(1000 * interval)) as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        await asyncio.sleep(interval + 0.05)
        for number in range(10):
            await gateway.publish("alice", {"Email": str(number), f"T{number}": "x"})
            # A turn of the loop: what the gateway reads at once it tells at once.
            await asyncio.sleep(0)
        assert await client.changed() == {"alice": {"Email": "0", "T0": "x"}}
        assert await client.changed() == {"alice": {"Email": "9", **{f"T{number}": "x" for number in range(1, 10)}}}
        assert gateway.value("tidings_changes_coalesced_total") == 8


async def test_what_is_read_at_once_is_one_push() -> None:
    async with running_gateway(coalesce_ms=200) as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        for number in range(10):
            await gateway.publish("alice", {"Email": str(number), f"T{number}": "x"})
        assert await client.changed() == {"alice": {"Email": "9", **{f"T{number}": "x" for number in range(10)}}}


async def test_every_connection_of_an_account_is_told() -> None:
    async with running_gateway() as gateway:
        clients = [await websockets.connect(gateway.url(), subprotocols=["jmap"]) for _ in range(200)]  # type: ignore[list-item]
        for client in clients:
            await client.send('{"@type":"WebSocketPushEnable","dataTypes":null}')
            async with within(DEADLINE):
                await client.recv()
        await gateway.publish("alice", {"Email": "s"})
        for client in clients:
            async with within(DEADLINE):
                assert '"s"' in str(await client.recv())
        assert gateway.value("tidings_connections_open", format="websocket") == 200
        await asyncio.gather(*(client.close() for client in clients))
        await eventually(lambda: gateway.value("tidings_connections_open", format="websocket") == 0)


async def _missed(gateway: RunningGateway, cursor: str | None, types: list[str] | None = None) -> dict[str, object]:
    async with jmap_client(gateway.url()) as client:
        return await client.subscribe(types, cursor)


async def _cursor(gateway: RunningGateway) -> str:
    async with jmap_client(gateway.url()) as client:
        await client.subscribe()
        assert client.cursor is not None
        return client.cursor


async def test_who_missed_nothing_is_told_nothing() -> None:
    async with running_gateway() as gateway:
        cursor = await _cursor(gateway)
        await gateway.publish("bob", {"Email": "x"})
        assert await _missed(gateway, cursor) == {}
        assert gateway.value("tidings_resumes_total", outcome="nothing_missed") == 1


async def test_what_was_missed_comes_coalesced_in_one_frame() -> None:
    async with running_gateway() as gateway:
        cursor = await _cursor(gateway)
        await gateway.publish("alice", {"Email": "1"})
        await gateway.publish("alice", {"Email": "2", "Mailbox": "m"})
        assert await _missed(gateway, cursor) == {"alice": {"Email": "2", "Mailbox": "m"}}
        assert await _missed(gateway, cursor, ["Mailbox"]) == {"alice": {"Mailbox": "m"}}
        assert gateway.value("tidings_resumes_total", outcome="replayed_window") == 2


async def test_a_new_gateway_knows_the_last_minutes_too() -> None:
    log = MemoryLog(shards=8)
    await log.open()
    async with running_gateway(log=log) as gateway:
        cursor = await _cursor(gateway)
        await gateway.publish("alice", {"Email": "1"})
    async with running_gateway(log=log) as gateway:
        assert await _missed(gateway, cursor) == {"alice": {"Email": "1"}}
    await log.close()


@pytest.mark.parametrize("cursor", ["", "garbage", "AQ", "a" * 9000, "AQgHABW1P5E"])
async def test_a_cursor_that_is_not_known_resynchronises(cursor: str) -> None:
    async with running_gateway() as gateway:
        missed = await _missed(gateway, cursor)
        assert set(missed["alice"]) == {"Email", "Mailbox", "Thread"}  # type: ignore[call-overload]
        again = await _missed(gateway, cursor)
        assert again != missed, "the state has to be one that no client knows"
        assert await _missed(gateway, cursor, ["EmailDelivery", "Email"]) != {}


async def test_a_cursor_of_another_shard_count_resynchronises() -> None:
    other = MemoryLog(shards=4)
    await other.open()
    async with running_gateway(log=other) as gateway:
        cursor = await _cursor(gateway)
    async with running_gateway() as gateway:
        assert await _missed(gateway, cursor)
        assert gateway.value("tidings_resyncs_total", reason="unknown") == 1
    await other.close()


async def test_a_recreated_log_resynchronises() -> None:
    async with running_gateway() as gateway:
        cursor = await _cursor(gateway)
    async with running_gateway() as gateway:
        assert await _missed(gateway, cursor)
        assert gateway.value("tidings_resyncs_total", reason="mismatch") == 1


async def test_a_token_gives_its_accounts_and_the_query_can_narrow_them() -> None:
    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway:
        bearer = {"Authorization": f"Bearer {token(accounts=['team', 'bob'])}"}
        async with jmap_client(gateway.url(""), additional_headers=bearer) as client:
            await client.subscribe()
            for account in ("alice", "team", "bob", "carol"):
                await gateway.publish(account, {"Email": account})
            told: set[str] = set()
            while told < {"alice", "team", "bob"}:  # Changes that come together may be told together.
                told |= (await client.changed()).keys()
            assert told == {"alice", "team", "bob"}
            assert await client.is_silent()
        async with jmap_client(gateway.url(f"account=team&access_token={token(accounts=['team'])}")) as client:
            await client.subscribe()
            await gateway.publish("alice", {"Email": "x"})
            await gateway.publish("team", {"Email": "y"})
            assert await client.changed() == {"team": {"Email": "y"}}
        cookie = {"Cookie": f"tidings_token={token()}", "Origin": f"http://127.0.0.1:{gateway.port}"}
        async with jmap_client(gateway.url(""), additional_headers=cookie) as client:
            assert await client.subscribe() == {}


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("access_token=nonsense", {}, 401),
        (lambda: f"access_token={token(exp=1)}", {}, 401),
        (lambda: f"access_token={jwt.encode({'sub': 'alice', 'exp': 4e9}, SECRET + '!', 'HS256')}", {}, 401),
        (lambda: f"access_token={jwt.encode({'sub': 'alice', 'exp': 4e9}, '', 'none')}", {}, 401),
        (lambda: f"access_token={jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}", {}, 401),
        (lambda: f"access_token={token(sub='a/b')}", {}, 401),
        (lambda: f"access_token={token(accounts=[7])}", {}, 401),
        (lambda: f"account=bob&access_token={token()}", {}, 403),
        (lambda: f"access_token={token()}", {"Origin": "https://evil.example"}, 403),
        (lambda: "", {"Cookie": lambda: f"tidings_token={token()}"}, 403),
    ],
)
async def test_what_a_token_does_not_allow_is_rejected(
    query: str | Callable[[], str], headers: dict[str, str | Callable[[], str]], status: int
) -> None:
    made = {name: value if isinstance(value, str) else value() for name, value in headers.items()}
    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with jmap_client(gateway.url(query if isinstance(query, str) else query()), additional_headers=made):
                pass
        assert caught.value.response.status_code == status


async def test_a_connection_ends_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_gateway(head_seconds=0.5, auth="jwt", jwt_secret=SECRET) as gateway:
        ended = token(exp=time.time() - 28)
        async with jmap_client(gateway.url(f"access_token={ended}")) as client:
            assert await client.closed() == (1008, "the token has expired")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_a_foreign_page_is_rejected_without_authentication_too(headers: dict[str, str], status: int) -> None:
    async with running_gateway() as gateway:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with jmap_client(gateway.url(), additional_headers=headers):
                pass
        assert caught.value.response.status_code == status
        assert gateway.value("tidings_rejections_total", reason="foreign_origin") == 1


async def test_an_allowed_origin_is_admitted() -> None:
    async with (
        running_gateway(allow_origin=["https://mail.example"]) as gateway,
        jmap_client(gateway.url(), additional_headers={"Origin": "https://mail.example"}) as client,
    ):
        assert await client.subscribe() == {}


async def test_the_session_resource_leads_to_the_websocket() -> None:
    async with running_gateway() as gateway, httpx2.AsyncClient() as http:
        base = f"http://127.0.0.1:{gateway.port}"
        answer = await http.get(f"{base}/.well-known/jmap", params={"account": "alice"})
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        websocket = answer.json()["capabilities"]["urn:ietf:params:jmap:websocket"]
        assert websocket["supportsPush"] is True
        assert set(answer.json()["capabilities"]) == jmap.CAPABILITIES
        async with jmap_client(websocket["url"]) as client:
            assert await client.subscribe() == {}
        refused = await http.get(f"{base}/.well-known/jmap")
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")


async def test_other_paths_go_to_the_fallback_and_without_one_are_not_found() -> None:
    async with running_gateway(fallback=PlainTextResponse("the webmail")) as gateway, httpx2.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{gateway.port}/inbox")).text == "the webmail"
    async with running_gateway() as gateway, httpx2.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{gateway.port}/inbox")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_large_request_body_reaches_the_fallback_whole() -> None:
    async def count(
        scope: dict[str, object], receive: Callable[[], Awaitable[dict[str, object]]], send: object
    ) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))  # type: ignore[arg-type]
            more = bool(message.get("more_body"))
        await PlainTextResponse(str(size))(scope, receive, send)  # type: ignore[arg-type]

    async with running_gateway(fallback=count) as gateway, httpx2.AsyncClient() as http:  # type: ignore[arg-type]
        answer = await http.post(f"http://127.0.0.1:{gateway.port}/upload", content=b"x" * 3_000_000)
        assert answer.text == "3000000"


async def test_an_account_with_every_allowed_character_works() -> None:
    account = 'ü<b>"&?#%+ \\🦉'
    async with running_gateway() as gateway:
        url = str(httpx2.URL(gateway.url(""), params={"account": account}))
        async with jmap_client(url) as client:
            await client.subscribe()
            await gateway.publish(account, {"Email": "s"})
            assert await client.changed() == {account: {"Email": "s"}}


async def test_order_in_one_batch_is_kept_and_the_last_state_wins() -> None:
    async with running_gateway(coalesce_ms=50) as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        await gateway.publish_all([Change("alice", {"Email": str(n)}, "FlagsSet", str(n), "test") for n in range(50)])
        assert await client.changed() == {"alice": {"Email": "49"}}


async def test_shutdown_sends_everybody_elsewhere() -> None:
    async with running_gateway() as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        stopping = asyncio.create_task(gateway.service.stop())
        assert (await client.closed())[0] == 1012
        await stopping
        assert gateway.health.ready()[0] is False


async def test_ready_once_the_log_is_there_and_still_when_it_goes_away() -> None:
    log = MemoryLog(shards=8)
    async with running_gateway(log=log) as gateway:
        assert gateway.health.ready() == (False, {"log": "not connected yet"})
        async with jmap_client(gateway.url()) as client:
            await log.open()
            await eventually(lambda: gateway.health.ready()[0])
            assert await client.subscribe() == {}
            await log.close()
            assert gateway.health.ready()[0]
            await log.open()
            await gateway.publish("alice", {"Email": "after"})
            assert await client.changed() == {"alice": {"Email": "after"}}
    await log.close()
