"""The OpenAPI document of the gateway against what its public port answers: every path and every status."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from tests.support.api_documents import OpenApi, Operation, exchange, loaded, request
from tests.support.clients import DEADLINE, jmap_client, upgrade
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.ports import free_ports
from tests.support.waiting import patient
from tidings.gateway.codecs.jmap import EVENTSOURCE_PATH, WEBSOCKET_PATH
from tidings.gateway.entrance import reference, session
from tidings.gateway.formats.poll import POLL_PATH

DOCUMENT = OpenApi(loaded("openapi-gateway.yaml"))
OPERATIONS = list(DOCUMENT.operations())
ANSWERS = [(operation, status) for operation in OPERATIONS for status in operation.statuses]
PARKED = {WEBSOCKET_PATH, EVENTSOURCE_PATH, POLL_PATH}
STREAMED = {101, 200}
"""Of what does not end by itself the head alone is read."""


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """A port where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def asked(operation: Operation, query: str = "account=alice", version: str = "1.1", **headers: str | None) -> bytes:
    """A request that the document allows, with other header fields; None: without this one."""
    target = f"{DOCUMENT.target(operation)}?{query}"
    if operation.path == WEBSOCKET_PATH:
        return upgrade(target, **headers).replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode())
    given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    head = request(operation.method, target, given, version=version)
    return head.replace(b"Host: 127.0.0.1\r\n", b"") if "Host" in headers and headers["Host"] is None else head


async def provoked(operation: Operation, status: int, monkeypatch: pytest.MonkeyPatch) -> httpx2.Response:
    """An answer of this status."""
    told = asked(operation)
    settings: dict[str, Any] = {}
    is_parked = operation.path in PARKED
    async with AsyncExitStack() as stack:
        match status:
            case 304:
                return await unchanged(operation)
            case 400:
                told = asked(operation, Host=None)
            case 401:
                told = asked(operation, query="")
            case 403:
                told = asked(operation, Origin="https://mail.example")
            case 426:
                told = asked(operation, Sec_WebSocket_Version="12")
            case 429:
                settings = {"max_connections_per_account": 1}
            case 431:
                told = asked(operation, Cookie="a" * 20_000)
            case 502:
                settings = {
                    "auth": "jwt",
                    "jwt_secret": SECRET,
                    "jmap_upstream": f"http://127.0.0.1:{free_ports(1)[0]}",
                }
            case 503 if is_parked:
                settings = {"max_connections": 1}
            case 503:
                monkeypatch.setattr("tidings.gateway.entrance.handover.MAX_CONNECTIONS", 0)
            case 504:
                monkeypatch.setattr("tidings.gateway.upstream.server.SESSION_SECONDS", 0.1)
                port = await stack.enter_async_context(listening())
                settings = {"auth": "jwt", "jwt_secret": SECRET, "jmap_upstream": f"http://127.0.0.1:{port}"}
            case 505:
                told = asked(operation, version="2.0")
        gateway = await stack.enter_async_context(running_gateway(**settings))
        if "max_connections" in settings or "max_connections_per_account" in settings:
            await stack.enter_async_context(jmap_client(gateway.url()))
        return await exchange(gateway.port, told, whole=not (is_parked and status in STREAMED))


async def unchanged(operation: Operation) -> httpx2.Response:
    async with running_gateway() as gateway:
        cursor = (await exchange(gateway.port, asked(operation))).json()["pushState"]
        return await exchange(gateway.port, asked(operation, f"account=alice&since={cursor}"))


@pytest.mark.parametrize(("operation", "status"), ANSWERS, ids=str)
async def test_every_documented_answer_is_given_as_documented(
    operation: Operation, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await provoked(operation, status, monkeypatch)
    assert answer.status_code == status
    if operation.path in PARKED and status in STREAMED:
        check_head(operation, answer)
    else:
        DOCUMENT.check_answer(operation, answer)


def check_head(operation: Operation, answer: httpx2.Response) -> None:
    """The head of an answer that goes on."""
    documented = operation.content["responses"][str(answer.status_code)]
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    assert media_type in documented.get("content", {"": None})
    for name, field in documented.get("headers", {}).items():
        DOCUMENT.check(DOCUMENT.resolved(field)["schema"], answer.headers[name])


async def test_a_poll_tells_what_changed_as_documented() -> None:
    operation = DOCUMENT.operation("get", POLL_PATH)
    async with running_gateway() as gateway, httpx2.AsyncClient(timeout=patient(DEADLINE)) as http:
        first = await http.get(gateway.http_url(POLL_PATH))
        await gateway.publish("alice", {"Email": "s1", "Quota": None})
        since = {"If-None-Match": first.headers["etag"]}
        second = await http.get(gateway.http_url(POLL_PATH, "account=alice&wait=60"), headers=since)
        for answer in (first, second):
            assert answer.status_code == 200
            DOCUMENT.check_answer(operation, answer)
        assert set(second.json()["changed"]["alice"]) == {"Email", "Quota"}


BAD_QUERIES: Mapping[str, tuple[str, ...]] = {
    EVENTSOURCE_PATH: ("types=a/b", "ping=often", "closeafter=soon", "status=maybe"),
    POLL_PATH: ("types=", "wait=-1"),
}


@pytest.mark.parametrize(("path", "query"), [(path, query) for path, each in BAD_QUERIES.items() for query in each])
async def test_a_parameter_that_the_document_does_not_allow_is_refused(path: str, query: str) -> None:
    operation = DOCUMENT.operation("get", path)
    name, _, value = query.partition("=")
    parameters = [DOCUMENT.resolved(parameter) for parameter in operation.content["parameters"]]
    (schema,) = (parameter["schema"] for parameter in parameters if parameter["name"] == name)
    if name != "types":
        assert DOCUMENT.faults(schema, int(value) if value.lstrip("-").isdigit() else value)
    async with running_gateway() as gateway:
        answer = await exchange(gateway.port, asked(operation, f"account=alice&{query}"))
    assert answer.status_code == 400
    DOCUMENT.check_answer(operation, answer)


async def test_the_paths_are_those_that_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[str] = []

    class Noted(Route):
        def __init__(self, path: str, endpoint: Any) -> None:
            served.append(path.rstrip("/"))
            super().__init__(path, endpoint)

    monkeypatch.setattr(session, "Route", Noted)
    monkeypatch.setattr(reference, "Route", Noted)
    async with running_gateway() as gateway:
        parked = set(gateway.service._parts.front._routes)  # type: ignore[attr-defined]
    assert {*served, *parked} == set(DOCUMENT.content["paths"])


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
async def test_the_gateway_serves_its_documents(name: str) -> None:
    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway:
        async with httpx2.AsyncClient(timeout=patient(DEADLINE)) as http:
            url = gateway.http_url(f"/{name}.yaml", "")
            answer = await http.get(url)
            assert answer.headers["content-type"] == "application/yaml"
            assert answer.text.startswith(f"{name}: 3.")
            assert (await http.head(url)).status_code == 200
        await check_same(gateway, answer.text, name)


async def check_same(gateway: RunningGateway, text: str, name: str) -> None:
    """It is the file of the documentation."""
    source = reference.source(reference.FILES[f"/{name}.yaml"])
    assert text == source.read_text()
    assert source.parent.name == "reference"
