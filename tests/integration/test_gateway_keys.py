"""Clients whose tokens are signed with public keys: verified beside the loop, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.support.clients import event_stream, jmap_client, raw_client, upgrade
from tests.support.frames import masked
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.keys import KeyServer, forged, jwk, key_server, pem, private_key, token
from tests.support.tls import make_certificate
from tests.support.waiting import eventually, within
from tidings.gateway.limits.lobby import ADDRESS_SHARE, PLACE_BYTES
from tidings.ops.pool import QUEUED, THREADS

TEXT = 1
SUBSCRIBE = masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}')


def signed(key_id: str | None = None, **claims: object) -> str:
    return token(private_key("RS256"), "RS256", key_id, **claims)


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {signed('one')}"}


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KeyServer]:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with key_server(certificate) as server:
        server.offer(jwk(private_key("RS256"), "RS256", kid="one"))
        yield server


@pytest.fixture
async def gateway(server: KeyServer) -> AsyncIterator[RunningGateway]:
    async with running_gateway(auth="jwt", jwks_url=server.url) as gateway:
        yield gateway


@pytest.fixture
async def held(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningGateway]:
    """A gateway whose token checks wait until the key server answers."""
    server.hold_back(monkeypatch)
    async with running_gateway(auth="jwt", jwks_url=server.url) as gateway:
        await eventually(lambda: server.requests)
        yield gateway


async def test_every_way_in_takes_such_tokens(gateway: RunningGateway) -> None:
    async with jmap_client(gateway.url(""), additional_headers=bearer()) as client:
        assert await client.subscribe() == {}
        await gateway.publish("alice", {"Email": "s1"})
        assert await client.changed() == {"alice": {"Email": "s1"}}
    async with event_stream(gateway.http_url("/jmap/eventsource", ""), **bearer()) as stream:
        assert await stream.event()
    async with httpx2.AsyncClient(headers=bearer()) as http:
        assert (await http.get(gateway.http_url("/jmap/changes", ""))).status_code == 200
        session = (await http.get(gateway.http_url("/.well-known/jmap", ""))).json()
    assert session["username"] == "alice"
    assert gateway.value("tidings_token_checks") == 0


async def test_other_tokens_are_not_let_in(gateway: RunningGateway) -> None:
    public = pem(private_key("RS256"))
    for made, reason in (
        (forged(public, kid="one"), "bad_token"),
        (token(private_key("RS256", 7), "RS256", "one"), "bad_token"),
        (signed("two"), "unknown_key"),
        (signed("one", exp=1), "expired_token"),
    ):
        async with raw_client(gateway.port) as client:
            await client.send(upgrade(f"/jmap/ws?access_token={made}"))
            assert await client.status() == 401
        assert gateway.value("tidings_rejections_total", reason=reason) >= 1
    async with raw_client(gateway.port) as client:
        await client.send(upgrade(f"/jmap/ws?account=bob&access_token={signed('one')}"))
        assert await client.status() == 403
    async with httpx2.AsyncClient() as http:
        answer = await http.get(gateway.http_url("/.well-known/jmap", f"access_token={forged(public, kid='one')}"))
    assert answer.status_code == 401


async def test_a_new_key_is_waited_for_and_never_refused(gateway: RunningGateway, server: KeyServer) -> None:
    made = token(private_key("RS256", 1), "RS256", "new")
    old = jwk(private_key("RS256"), "RS256", kid="one")
    await eventually(lambda: gateway.value("tidings_jwks_keys") == 1)
    async with httpx2.AsyncClient() as http:

        async def ask(path: str = "/jmap/changes") -> httpx2.Response:
            return await http.get(gateway.http_url(path, ""), headers={"Authorization": f"Bearer {made}"})

        server.status = b"503 Later"
        for path in ("/jmap/changes", "/.well-known/jmap"):
            answer = await ask(path)
            assert (answer.status_code, answer.json()["detail"]) == (
                503,
                "the key that signed the token is not known yet",
            )
            assert int(answer.headers["retry-after"]) > 0
        server.status = b"200 OK"
        server.offer(old, jwk(private_key("RS256", 1), "RS256", kid="new"))
        assert (await ask()).status_code == 200
    assert gateway.value("tidings_rejections_total", reason="key_awaited") == 2


async def test_refusals_of_every_path_are_counted_and_told(gateway: RunningGateway) -> None:
    await eventually(lambda: gateway.value("tidings_jwks_keys") == 1)
    made = signed("one", exp=1)
    with capture_logs() as lines:
        async with httpx2.AsyncClient() as http:
            for path in ("/jmap/changes", "/jmap/eventsource", "/.well-known/jmap"):
                answer = await http.get(gateway.http_url(path, f"access_token={made}"))
                assert answer.status_code == 401
    assert gateway.value("tidings_rejections_total", reason="expired_token") == 3
    told = [line for line in lines if line["event"] == "requests refused"]
    assert [(line["listener"], line["reason"], line["count"]) for line in told] == [("clients", "expired_token", 1)]
    assert made not in str(lines)


async def test_a_password_for_a_proxy_in_front_is_in_no_url(gateway: RunningGateway) -> None:
    proxy = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}
    async with httpx2.AsyncClient(headers=proxy) as http:
        query = http.get(gateway.http_url("/.well-known/jmap", f"access_token={signed('one')}"))
        foreign = f'x={{"a":1}}; a[b]=1; path=/x; tidings_token={signed("one")}; word'
        cookie = http.get(gateway.http_url("/.well-known/jmap", ""), headers={"Cookie": foreign})
        answers = await asyncio.gather(query, cookie)
    for answer in answers:
        assert answer.status_code == 200
        assert "YWxpY2U6c2VjcmV0" not in answer.text
    assert f"access_token={signed('one')}"[:40] in answers[0].text
    assert "access_token" not in answers[1].text


async def test_what_is_sent_before_the_answer_is_heard_after_it(held: RunningGateway, server: KeyServer) -> None:
    async with raw_client(held.port) as client:
        await client.send(upgrade(f"/jmap/ws?access_token={signed('one')}") + SUBSCRIBE[:5])
        await eventually(lambda: held.value("tidings_token_checks") == 1)
        await client.send(SUBSCRIBE[5:])
        server.answering.set()
        assert await client.status() == 101
        assert json.loads((await client.frame())[1])["changed"] == {}


async def test_who_sends_too_much_before_the_answer_is_refused(held: RunningGateway) -> None:
    async with raw_client(held.port) as client:
        await client.send(upgrade(f"/jmap/ws?access_token={signed('one')}") + bytes(20_000))
        assert await client.status() == 400
    assert held.value("tidings_rejections_total", reason="early_bytes") == 1
    assert held.value("tidings_token_checks") == 0


async def test_a_check_never_lets_in_who_has_the_descriptor_next(held: RunningGateway, server: KeyServer) -> None:
    def descriptors() -> set[int]:
        reactor = held.service._parts.lot.reactor  # type: ignore[attr-defined]
        return {connection.fd for connection in reactor.connections()}

    async with raw_client(held.port) as gone:
        await gone.send(upgrade(f"/jmap/ws?access_token={signed('one')}"))
        await eventually(lambda: held.value("tidings_token_checks") == 1)
        before = descriptors()
        # A FIN alone would not say that nobody waits for the answer.
        gone.reset()
    await eventually(lambda: held.value("tidings_sockets_open") == 0)
    assert held.value("tidings_token_checks") == 0
    async with raw_client(held.port) as next_one:
        await eventually(lambda: held.value("tidings_sockets_open") == 1)
        assert descriptors() == before
        server.answering.set()
        await eventually(lambda: held.health.ready()[0])
        await next_one.send(upgrade("/jmap/ws"))
        assert await next_one.status() == 401


async def test_a_full_pool_is_an_answer(gateway: RunningGateway) -> None:
    release = threading.Event()
    blocking = [asyncio.create_task(gateway.pool.run(release.wait)) for _ in range(THREADS + QUEUED)]
    try:
        await asyncio.sleep(0)
        async with raw_client(gateway.port) as client:
            await client.send(upgrade(f"/jmap/ws?access_token={signed('one')}"))
            head = await client.head()
        async with httpx2.AsyncClient(headers=bearer()) as http:
            answer = await http.get(gateway.http_url("/.well-known/jmap", ""))
    finally:
        release.set()
        await asyncio.gather(*blocking)
    assert head.startswith("HTTP/1.1 503 ")
    assert "Retry-After: 1" in head
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert gateway.value("tidings_rejections_total", reason="token_checks") == 2
    async with jmap_client(gateway.url(""), additional_headers=bearer()) as client:
        assert await client.subscribe() == {}


async def test_checks_that_wait_are_bounded_in_bytes_and_the_newest_stay(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 512 * 1024
    monkeypatch.setattr("tidings.gateway.limits.lobby.MAX_BYTES", most)
    server.hold_back(monkeypatch)
    async with running_gateway(auth="jwt", jwks_url=server.url) as gateway, AsyncExitStack() as open_ones:
        heads = gateway.budget.account("heads")
        for number in range(1, 51):
            client = await open_ones.enter_async_context(raw_client(gateway.port))
            await client.send(upgrade(f"/jmap/ws?access_token={signed('one')}"))
            await eventually(lambda: gateway.value("tidings_accepts_total") == number)  # noqa: B023 - now
            await eventually(lambda: gateway.value("tidings_token_checks") == gateway.value("tidings_lobby"))
            assert heads.held <= most // ADDRESS_SHARE
        assert gateway.value("tidings_token_checks") < 20
        server.answering.set()
        assert await client.status() == 101
        # The others are answered after it, one by one.
        await eventually(lambda: gateway.value("tidings_token_checks") == 0)


async def test_without_room_a_check_is_answered_at_once(held: RunningGateway) -> None:
    # Others hold what there is, but for the place of a connection.
    others = held.budget.account("others")
    others.add(held.budget.limit - held.budget.held - 2 * PLACE_BYTES)
    async with raw_client(held.port) as client:
        await client.send(upgrade(f"/jmap/ws?access_token={signed('one')}"))
        assert await client.status() == 503
    assert held.value("tidings_rejections_total", reason="token_checks") == 1
    async with raw_client(held.port) as client:
        await client.send(upgrade()[:-1] + b"\rX: " + b"x" * 3_000)
        assert await client.status() == 503
    assert held.value("tidings_rejections_total", reason="full") == 1
    others.give(others.held)


async def test_a_check_that_takes_too_long_is_given_up(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hold_back(monkeypatch)
    monkeypatch.setattr("tidings.gateway.entrance.checking.CHECK_SECONDS", 0.2)
    async with running_gateway(auth="jwt", jwks_url=server.url, head_seconds=0.2) as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(upgrade(f"/jmap/ws?access_token={signed('one')}"))
            assert await client.status() == 503
        assert gateway.value("tidings_rejections_total", reason="token_checks") == 1
        assert gateway.value("tidings_token_checks") == 0


async def test_a_gateway_stops_while_tokens_are_checked(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hold_back(monkeypatch)
    async with running_gateway(auth="jwt", jwks_url=server.url) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(upgrade(f"/jmap/ws?access_token={signed('one')}"))
        await eventually(lambda: gateway.value("tidings_token_checks") == 1)
    async with within(10):
        assert await reader.read() == b""
    writer.close()
