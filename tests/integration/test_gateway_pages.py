"""What a page of another origin may read of the public port (CORS), and what whoever runs the gateway is told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import jwt
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from tests.support.clients import DEADLINE, event_stream, eventually, jmap_client
from tests.support.gateway import SECRET, running_gateway
from tests.support.waiting import patient

ORIGIN = "https://mail.example"
PAGE = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
STREAM, CHANGES, SESSION = "/jmap/eventsource", "/jmap/changes", "/.well-known/jmap"
PATHS = [STREAM, CHANGES, SESSION, f"{STREAM}/", f"{CHANGES}/", f"{SESSION}/"]
ASKED = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,traceparent"}


def token(account: str = "alice", seconds: float = 600) -> dict[str, str]:
    bearer = jwt.encode({"sub": account, "exp": time.time() + seconds}, SECRET, "HS256")
    return {"Authorization": f"Bearer {bearer}"}


def opened(**settings: Any) -> Any:
    return running_gateway(auth="jwt", jwt_secret=SECRET, allow_origin=[ORIGIN], **settings)


def readable(answer: httpx2.Response) -> bool:
    """Whether the browser gives the answer to the page."""
    headers = answer.headers
    names = headers.get("access-control-expose-headers", "").lower().split(", ")
    return (
        headers.get_list("access-control-allow-origin") == [ORIGIN]
        and headers.get("access-control-allow-credentials") == "true"
        and {"etag", "retry-after"} <= set(names)
    )


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_an_allowed_origin_may_ask_with_any_header_and_read_the_answer(path: str) -> None:
    async with opened() as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as client:
        url = gateway.http_url(path, "closeafter=state")
        preflight = await client.options(url, headers={**PAGE, **ASKED})
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert readable(preflight)
        allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "traceparent", "if-none-match"} <= set(allowed)
        async with client.stream("GET", url, headers={**PAGE, **token()}) as answer:
            assert answer.status_code == 200
            assert readable(answer)


@pytest.mark.parametrize("path", PATHS)
async def test_errors_can_be_read_too(path: str) -> None:
    async with (
        opened(max_connections_per_account=1) as gateway,
        httpx2.AsyncClient(timeout=patient(DEADLINE)) as client,
    ):
        url = gateway.http_url(path, "")
        for headers, query, status in (
            ({}, "", 401),
            (token(seconds=-600), "", 401),
            (token(), "account=bob", 403),
        ):
            answer = await client.get(f"{url}{query}", headers={**PAGE, **headers})
            assert answer.status_code == status
            assert readable(answer), status
            assert answer.json()["status"] == status
        if not path.startswith(SESSION):
            async with jmap_client(gateway.url(""), additional_headers=token()):
                full = await client.get(url, headers={**PAGE, **token()})
            assert (full.status_code, readable(full)) == (429, True)
            assert int(full.headers["retry-after"]) > 0


async def test_a_gateway_that_has_no_room_can_be_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await PlainTextResponse("done")(scope, receive, send)

    release = asyncio.Event()
    monkeypatch.setattr("tidings.gateway.entrance.handover.MAX_CONNECTIONS", 2)
    async with (
        opened(max_connections=1, fallback=wait) as gateway,
        httpx2.AsyncClient(timeout=patient(DEADLINE)) as client,
    ):
        async with event_stream(gateway.http_url(STREAM, ""), **token()):
            full = await client.get(gateway.http_url(CHANGES, ""), headers={**PAGE, **token()})
        assert (full.status_code, readable(full)) == (503, True)
        waiting = [asyncio.create_task(client.get(gateway.http_url("/slow", ""))) for _ in range(2)]
        await eventually(lambda: gateway.value("tidings_requests_open") == 2)
        busy = await client.get(gateway.http_url(SESSION, ""), headers={**PAGE, **token()})
        assert (busy.status_code, readable(busy)) == (503, True)
        assert int(busy.headers["retry-after"]) > 0
        release.set()
        assert {(await one).text for one in waiting} == {"done"}


async def test_what_is_not_there_can_be_read_and_the_webmail_can_not() -> None:
    async with opened() as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as client:
        missing = await client.get(gateway.http_url("/jmap/api", ""), headers={**PAGE, **token()})
        assert (missing.status_code, readable(missing)) == (404, True)
    async with (
        opened(fallback=PlainTextResponse("mail")) as gateway,
        httpx2.AsyncClient(timeout=patient(DEADLINE)) as client,
    ):
        for path in ("/", "/api/messages", "/.well-known/other"):
            for method in ("GET", "OPTIONS"):
                answer = await client.request(method, gateway.http_url(path, ""), headers={**PAGE, **ASKED})
                assert answer.text == "mail"
                assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://mail.example.evil.example", "x" * 5_000])
@pytest.mark.parametrize("path", [STREAM, CHANGES, SESSION, "/jmap/api"])
async def test_a_page_of_another_origin_reads_nothing(origin: str, path: str) -> None:
    async with opened() as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as client:
        for method in ("GET", "OPTIONS", "POST"):
            for headers in ({}, token()):
                url = gateway.http_url(path, "types=")
                answer = await client.request(method, url, headers={**PAGE, **ASKED, **headers, "Origin": origin})
                assert answer.status_code in (400, 403, 404, 405)
                assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_an_origin_that_is_refused_is_logged_once_with_the_flag_that_would_allow_it() -> None:
    with capture_logs() as logs:
        async with opened() as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as client:
            for origin in ("https://new.example", "https://new.example", "https://other.example:8443"):
                for path in (STREAM, SESSION):
                    headers = {**PAGE, **token(), "Origin": origin}
                    assert (await client.get(gateway.http_url(path, ""), headers=headers)).status_code == 403
    refused = [line for line in logs if line["event"] == "origin refused"]
    assert [line["origin"] for line in refused] == ["https://new.example", "https://other.example:8443"]
    assert "--allow-origin https://new.example" in refused[0]["allow"]


async def test_without_authentication_a_page_that_rebinds_a_name_reads_nothing() -> None:
    host = "evil.example:8080"
    headers = {"Host": host, "Origin": f"http://{host}"}
    async with running_gateway() as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as client:
        for path in PATHS:
            answer = await client.get(gateway.http_url(path), headers=headers)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
