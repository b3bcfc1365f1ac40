"""Push in front of a JMAP server: sessions are the server's, and lead here."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from structlog.testing import capture_logs

from tests.support.clients import JmapClient, event_stream, eventually, jmap_client
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.jmap_server import JmapServer, basic, jmap_server
from tests.support.tls import make_certificate
from tidings.auth.push_tokens import PushToken, PushTokens
from tidings.gateway.upstream import server as upstream_server

WEBSOCKET = "urn:ietf:params:jmap:websocket"
WELL_KNOWN = "/.well-known/jmap"


@asynccontextmanager
async def fronted(server: JmapServer, **settings: Any) -> AsyncIterator[RunningGateway]:
    """A gateway that pushes for the server."""
    given = {"auth": "jwt", "jwt_secret": SECRET, "jmap_upstream": server.url, **settings}
    async with running_gateway(**given) as gateway:
        yield gateway


async def asked(gateway: RunningGateway, path: str = WELL_KNOWN, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        url = f"http://127.0.0.1:{gateway.port}{path}"
        return await client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def session(gateway: RunningGateway, user: str = "alice") -> dict[str, Any]:
    answer = await asked(gateway, authorization=basic(user))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


def expanded(template: str, **variables: str) -> str:
    return re.sub(r"{(\w+)}", lambda name: variables[name[1]], template)


@asynccontextmanager
async def socket_of(gateway: RunningGateway, user: str = "alice", **headers: str) -> AsyncIterator[JmapClient]:
    """A WebSocket at the URL of a user's session, opened with the user's password unless `headers` say otherwise."""
    url = (await session(gateway, user))["capabilities"][WEBSOCKET]["url"]
    given = headers or {"Authorization": basic(user)}
    async with jmap_client(url, additional_headers=given, max_size=None) as client:
        yield client


async def request(client: JmapClient, name: str = "R1", **members: Any) -> dict[str, Any]:
    calls = [["Core/echo", {"hello": [1, 2.5]}, "c1"]]
    await client.send(**{"@type": "Request", "id": name, "using": [], "methodCalls": calls, **members})
    return await client.receive()


async def test_the_session_is_the_servers_with_push_urls_that_lead_here() -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"
        for path in (WELL_KNOWN, f"{WELL_KNOWN}/"):
            answer = await asked(gateway, path, authorization=basic("alice"))
            assert answer.headers["cache-control"] == "no-store"
            found = answer.json()
            assert found["username"] == "alice"
            assert found["state"] == "their-state"
            assert set(found["accounts"]) == {"alice", "team"}
            assert found["apiUrl"] == f"{base}/jmap/"
            assert found["eventSourceUrl"].startswith(f"{base}/jmap/eventsource?")
            assert WEBSOCKET not in found["capabilities"]


async def test_changes_of_the_users_accounts_are_pushed_and_of_no_others() -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        template = (await session(gateway))["eventSourceUrl"]
        url = expanded(template, types="*", closeafter="no", ping="0")
        # Some clients send along what they show to the server, some a slash behind every path.
        for place in (url, url.replace("/jmap/eventsource?", "/jmap/eventsource/?")):
            async with event_stream(place, Authorization="Bearer of-the-server") as stream:
                assert (await stream.event()) is not None
                await gateway.publish("bob", {"Email": "not told"})
                for account in ("alice", "team"):
                    await gateway.publish(account, {"Email": "s1"})
                    assert await stream.changed() == {account: {"Email": "s1"}}


async def test_who_shows_the_wrong_password_gets_the_servers_own_answer() -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        for shown in ({}, {"authorization": basic("alice", "wrong")}, {"authorization": "Negotiate abc"}):
            answer = await asked(gateway, **shown)
            assert (answer.status_code, answer.text) == (401, "who are you?")
            assert answer.headers["www-authenticate"] == 'Basic realm="mail"'
        token = jwt.encode({"sub": "alice", "exp": time.time() + 60}, SECRET, "HS256")
        assert (await asked(gateway, authorization=f"Bearer {token}")).status_code == 401
        for path in ("/jmap/eventsource?types=*&closeafter=no&ping=0", "/jmap/changes"):
            assert (await asked(gateway, path, authorization=basic("alice"))).status_code == 401
        assert gateway.value("tidings_jmap_upstream_requests_total", kind="session", outcome="4xx") == 4


async def test_nothing_that_one_client_sent_or_got_goes_along_with_anothers_request() -> None:
    async with jmap_server() as server, fronted(server, trusted_proxy=["127.0.0.1"]) as gateway:
        await asked(gateway, authorization=basic("alice"), cookie="own=1", x_forwarded_for="192.0.2.7", x_other="2")
        await asked(gateway, authorization="NTLM abc")
        first, second = (one.headers for one in server.requests if one.url.path == "/jmap/")
        assert first["authorization"] == basic("alice")
        assert first["x-forwarded-for"] == "192.0.2.7, 127.0.0.1"
        assert not {"cookie", "x-other"} & set(first)
        assert not {"cookie", "authorization"} & set(second)


async def test_a_token_of_the_session_ends_and_opens_nothing_but_pushes() -> None:
    async def mail(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not asked for")

    async with jmap_server() as server, fronted(server, fallback=mail) as gateway:
        token = PushTokens(SECRET).make(PushToken(("alice",), time.time() - 1))
        answer = await asked(gateway, f"/jmap/changes?access_token={token}")
        assert (answer.status_code, "expired" in answer.text) == (401, True)
        good = urlsplit((await session(gateway))["eventSourceUrl"]).query.rpartition("access_token=")[2]
        assert (await asked(gateway, f"/jmap/changes?access_token={good}")).status_code == 200
        assert (await asked(gateway, f"{WELL_KNOWN}?access_token={good}")).status_code == 401
        assert (await asked(gateway, "/jmap/changes", authorization=f"Bearer {good}")).status_code == 401


async def test_pages_of_foreign_origins_get_no_session() -> None:
    async with jmap_server() as server, fronted(server, allow_origin=["https://mail.example"]) as gateway:
        answer = await asked(gateway, authorization=basic("alice"), origin="https://evil.example")
        assert answer.status_code == 403
        assert server.requests == []
        answer = await asked(gateway, authorization=basic("alice"), origin="https://mail.example")
        assert answer.headers["access-control-allow-origin"] == "https://mail.example"


async def test_while_the_server_is_down_pushes_go_on() -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        template = (await session(gateway))["eventSourceUrl"]
        url = expanded(template, types="Email", closeafter="no", ping="0")
        async with event_stream(url) as stream:
            await stream.event()
            server.sessions = lambda request: answering(PlainTextResponse("busy", 503, {"Retry-After": "7"}))
            answer = await asked(gateway, authorization=basic("alice"))
            assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "busy", "7")
            await gateway.publish("alice", {"Email": "s1"})
            assert await stream.changed() == {"alice": {"Email": "s1"}}


async def answering(response: Response) -> Response:
    return response


async def test_a_server_that_is_away_is_told_once_in_the_log_and_shows_no_secret() -> None:
    async with jmap_server() as server:
        pass
    with capture_logs() as logs:
        async with fronted(server) as gateway:
            for _ in range(3):
                answer = await asked(gateway, authorization=basic("alice", "very-secret"))
                assert answer.status_code == 502
                assert answer.headers["content-type"] == "application/problem+json"
                assert str(server.port) not in answer.text
    assert [log["event"] for log in logs].count("JMAP server does not answer") == 1
    assert basic("alice", "very-secret").split()[1] not in str(logs)


async def test_a_server_that_does_not_answer_costs_no_more_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_server, "SESSION_SECONDS", 0.2)

    async def late(_: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with jmap_server() as server, fronted(server) as gateway:
        server.sessions = late
        answer = await asked(gateway, authorization=basic("alice"))
        assert answer.status_code == 504


async def test_so_many_sessions_are_fetched_at_once_and_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_server, "MAX_SESSIONS", 1)
    monkeypatch.setattr(upstream_server, "MAX_WAITING", 1)
    released = asyncio.Event()

    async def waits(_: Request) -> Response:
        await released.wait()
        return Response(status_code=401)

    async with jmap_server() as server, fronted(server) as gateway:
        server.sessions = waits
        first, second = (asyncio.create_task(asked(gateway, authorization=basic(user))) for user in ("alice", "bob"))

        def fetched() -> int:
            return [request.url.path for request in server.requests].count("/jmap/")

        # What is open here may not have reached the server yet.
        await eventually(lambda: gateway.value("tidings_jmap_upstream_requests_open") == 2 and fetched() == 1)
        refused = await asked(gateway, authorization=basic("bob"))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert fetched() == 1
        released.set()
        assert [(await each).status_code for each in (first, second)] == [401, 401]


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("no session"),
        JSONResponse({"accounts": []}),
        PlainTextResponse("x" * (upstream_server.MAX_SESSION_BYTES + 1)),
        RedirectResponse("/jmap/"),
    ],
    ids=["text", "other JSON", "too long", "redirects too many times"],
)
async def test_what_is_no_session_is_the_servers_fault(answer: Response) -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        server.sessions = lambda request: answering(answer)
        assert (await asked(gateway, authorization=basic("alice"))).status_code == 502
        assert gateway.budget.accounts["upstream"].held == 0


async def test_no_other_server_is_asked_whatever_one_names() -> None:
    async with jmap_server() as server, jmap_server() as other, fronted(server) as gateway:
        server.sessions = lambda request: answering(RedirectResponse(f"{other.url}/elsewhere"))
        assert (await asked(gateway, authorization=basic("alice"))).status_code == 404
        assert other.requests == []


async def test_a_gateway_that_is_set_to_ask_itself_says_so() -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        answer = await asked(gateway, authorization=basic("alice"), via="1.1 proxy, 1.1 tidings")
        assert answer.status_code == 508


async def test_a_session_without_accounts_goes_through_as_it_is() -> None:
    async with jmap_server() as server, fronted(server) as gateway:
        server.members = {"accounts": {}, "primaryAccounts": {}}
        assert (await session(gateway))["eventSourceUrl"] == "/jmap/eventsource/"


async def test_the_servers_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    async with jmap_server(str(certificate)) as server:
        url = server.url.replace("http", "https")
        async with fronted(server, jmap_upstream=url) as gateway:
            assert (await asked(gateway, authorization=basic("alice"))).status_code == 502
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with fronted(server, jmap_upstream=url) as gateway:
            assert (await asked(gateway, authorization=basic("alice"))).status_code == 200


async def test_a_proxy_of_the_environment_sees_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with jmap_server() as server, fronted(server) as gateway, httpx2.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{gateway.port}{WELL_KNOWN}"
        assert (await client.get(url, headers={"Authorization": basic("alice")})).status_code == 200


# Requests over the WebSocket.


async def test_requests_over_the_websocket_are_answered_by_the_server() -> None:
    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True) as gateway,
        socket_of(gateway) as client,
    ):
        answer = await request(client)
        assert answer == {
            "@type": "Response",
            "requestId": "R1",
            "methodResponses": [["Core/echo", {"hello": [1, 2.5]}, "c1"]],
            "sessionState": "their-state",
        }
        assert server.bodies == [{"using": [], "methodCalls": [["Core/echo", {"hello": [1, 2.5]}, "c1"]]}]
        assert server.requests[-1].headers["authorization"] == basic("alice")
        await eventually(lambda: gateway.value("tidings_jmap_upstream_requests_open") == 0)


async def test_pushes_come_over_the_same_websocket_until_they_are_disabled() -> None:
    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True) as gateway,
        socket_of(gateway) as client,
    ):
        assert await client.subscribe(["Email"]) == {}
        await gateway.publish("alice", {"Email": "s1", "Thread": "t1"})
        assert await client.changed() == {"alice": {"Email": "s1"}}
        await client.send(**{"@type": "WebSocketPushDisable"})
        assert (await request(client))["@type"] == "Response"
        await gateway.publish("alice", {"Email": "s2"})
        assert (await request(client))["@type"] == "Response"


async def test_errors_of_the_api_are_request_errors() -> None:
    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True) as gateway,
        socket_of(gateway) as client,
    ):
        problem = {"type": "urn:ietf:params:jmap:error:unknownCapability", "status": 400, "detail": "using"}
        server.api = lambda request: answering(JSONResponse(problem, 400))
        assert await request(client) == {**problem, "@type": "RequestError", "requestId": "R1"}
        server.api = lambda request: answering(PlainTextResponse("down", 503))
        assert (await request(client, "R2"))["status"] == 503
        server.api = lambda request: answering(PlainTextResponse("x" * (upstream_server.MAX_ANSWER_BYTES + 1)))
        assert (await request(client, "R3"))["status"] == 502
        server.api = None
        assert (await request(client, "R4"))["@type"] == "Response"
        await client.socket.send("{")
        assert (await client.receive())["type"] == "urn:ietf:params:jmap:error:notJSON"
        assert gateway.budget.accounts["upstream"].held < 4_096


async def test_a_socket_that_was_opened_without_a_password_is_pushed_to_and_asks_nothing() -> None:
    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True) as gateway,
        socket_of(gateway, "alice", Origin=f"http://127.0.0.1:{gateway.port}") as client,
    ):
        answer = await request(client)
        assert (answer["@type"], answer["status"], answer["requestId"]) == ("RequestError", 401, "R1")
        assert await client.subscribe() == {}
        await gateway.publish("alice", {"Email": "s1"})
        assert await client.changed() == {"alice": {"Email": "s1"}}
        assert server.bodies == []


async def test_a_password_that_is_wrong_by_now_is_the_servers_to_refuse() -> None:
    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True) as gateway,
        socket_of(gateway, "alice", Authorization=basic("alice", "wrong")) as client,
    ):
        assert (await request(client))["status"] == 401
        assert len(server.bodies) == 1


async def test_so_many_requests_of_one_client_are_passed_on_at_once() -> None:
    released = asyncio.Event()

    async def waits(request: Request) -> Response:
        await released.wait()
        return JSONResponse({"methodResponses": [], "sessionState": "s"})

    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True) as gateway,
        socket_of(gateway) as client,
    ):
        server.api = waits
        for number in range(5):
            await client.send(**{"@type": "Request", "id": str(number), "using": [], "methodCalls": []})
        refused = await client.receive()
        assert (refused["requestId"], refused["limit"]) == ("4", "maxConcurrentRequests")
        await eventually(lambda: gateway.value("tidings_jmap_upstream_requests_open") == 4)
        # Others are pushed to and answered meanwhile, and so is this one.
        assert await client.subscribe() == {}
        released.set()
        assert {(await client.receive())["requestId"] for _ in range(4)} == {"0", "1", "2", "3"}


async def test_what_a_client_waits_for_ends_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_server, "REQUEST_SECONDS", 3_600)
    begun = asyncio.Event()

    async def waits(request: Request) -> Response:
        begun.set()
        await asyncio.sleep(3_600)
        raise AssertionError

    async with jmap_server() as server, fronted(server, jmap_proxy_requests=True) as gateway:
        server.api = waits
        async with socket_of(gateway) as client:
            await client.send(**{"@type": "Request", "using": [], "methodCalls": []})
            await begun.wait()
        await eventually(lambda: gateway.value("tidings_jmap_upstream_requests_open") == 0)
        await eventually(lambda: gateway.budget.accounts["upstream"].held == 0)


async def test_large_answers_come_whole_to_a_client_that_reads_late() -> None:
    text = "x" * 3_000_000

    async def large(request: Request) -> Response:
        return JSONResponse({"methodResponses": [["Core/echo", {"text": text}, "c"]], "sessionState": "s"})

    async with jmap_server() as server, fronted(server, jmap_proxy_requests=True) as gateway:
        server.api = large
        url = (await session(gateway))["capabilities"][WEBSOCKET]["url"]
        given = {"additional_headers": {"Authorization": basic("alice")}, "max_size": None, "max_queue": 1}
        async with jmap_client(url, **given) as client:
            for name in ("1", "2", "3"):
                await client.send(**{"@type": "Request", "id": name, "using": [], "methodCalls": []})
            await eventually(lambda: gateway.value("tidings_connections_blocked") == 1)
            await eventually(lambda: gateway.value("tidings_jmap_upstream_requests_open") == 0)
            answers = [await client.receive() for _ in range(3)]
            assert sorted(answer["requestId"] for answer in answers) == ["1", "2", "3"]
            assert all(answer["methodResponses"][0][1]["text"] == text for answer in answers)


async def test_requests_that_are_too_large_for_the_socket_end_it() -> None:
    async with (
        jmap_server() as server,
        fronted(server, jmap_proxy_requests=True, max_message_bytes=2_048) as gateway,
    ):
        found = await session(gateway)
        assert found["capabilities"]["urn:ietf:params:jmap:core"]["maxSizeRequest"] == 2_048
        async with socket_of(gateway) as client:
            await client.socket.send(json.dumps({"@type": "Request", "text": "x" * 2_048}))
            assert (await client.closed())[0] == 1009
        assert server.bodies == []
