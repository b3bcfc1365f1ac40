"""The OpenAPI document of the ingest port against what the port answers: every path, every status, every example."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from asyncio_pprof.traces import Life
from scripts.api_documents import document
from tests.support.api_documents import REFERENCE, OpenApi, Operation, exchange, loaded, request
from tests.support.publisher import SECONDS, Running, Start
from tests.support.waiting import patient
from tidings.errors import LogUnavailable
from tidings.ops.budget import Budget
from tidings.ops.http.serving import UvicornService
from tidings.ops.process.runtime import new_runtime
from tidings.publisher.accounts import AccountMap
from tidings.publisher.ingest.access import IngestAccess
from tidings.publisher.ingest.app import create_app
from tidings.publisher.ingest.dovecot import Deliveries
from tidings.publisher.ingest.examples import BINARY_HEADERS
from tidings.publisher.ingest.openapi import DescribedRoute
from tidings.publisher.ingest.routes import routes_of
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.settings import PublisherSettings
from tidings.wire.change import Change
from tidings.wire.cloudevents import STRUCTURED

DOCUMENT = OpenApi(loaded("openapi-ingest.json"))
TOKEN = "a token of sixteen characters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OPERATIONS = list(DOCUMENT.operations())
ANSWERS = [(operation, status) for operation in OPERATIONS for status in operation.statuses]
ABOUT_IT = {"/openapi.json", "/docs", "/assets/{file}"}
"""What serves the document, and is not in it."""


@asynccontextmanager
async def serving(
    *, fault: Exception | None = None, tokens: Sequence[str] = (TOKEN,), seconds: float = SECONDS
) -> AsyncIterator[int]:
    """A port of all routes of a publisher, whose log has this fault."""

    async def submit(changes: Sequence[Change], life: Life | None) -> None:
        if fault is not None:
            raise fault

    runtime = new_runtime()
    routes = (*routes_of(PublisherSettings()), Deliveries().route)
    access = IngestAccess(tokens, loopback_hosts_only=True)
    metrics = PublisherMetrics(runtime.registry)
    app = create_app(submit, access, metrics, AccountMap(), lambda _: None, routes, patient(seconds))
    assert {route.path for route in app.routes if isinstance(route, DescribedRoute)} | ABOUT_IT == {
        getattr(route, "path", None) for route in app.routes
    }
    running = Running([UvicornService("ingest", app, "127.0.0.1", 0, Budget().account("requests"))], runtime)
    await running.start()
    try:
        yield running.port
    finally:
        await running.stop()


def first_body(operation: Operation) -> tuple[str, Any]:
    """A content type, and an example of it."""
    media_type, content = next(iter(operation.content["requestBody"]["content"].items()))
    return media_type, next(iter(content["examples"].values()))["value"]


async def provoked(operation: Operation, status: int) -> httpx2.Response:
    """An answer of this status."""
    media_type, value = first_body(operation)
    body, fields = json.dumps(value).encode(), {"Content-Type": media_type, **BEARER}
    told: dict[str, Any] = {"headers": fields, "body": body}
    served: dict[str, Any] = {}
    match status:
        case 202:
            pass
        case 400:
            told["body"] = b"{"
        case 401:
            told["headers"] = {"Content-Type": media_type}
        case 403:
            served, told["headers"] = {"tokens": ()}, {"Content-Type": media_type, "Origin": "https://mail.example"}
        case 408:
            served, fields["Content-Length"] = {"seconds": 0.01}, str(len(body) + 1)
        case 413:
            fields["Content-Length"], told["body"] = str(2**20 + 1), b""
        case 415:
            fields["Content-Type"] = "text/plain"
        case 422:
            told["body"] = b"{}"
        case 431:
            fields["Cookie"] = "a" * 20_000
        case 500:
            served = {"fault": ZeroDivisionError("a secret")}
        case 503:
            served = {"fault": LogUnavailable("the log is away")}
        case 505:
            told["version"] = "2.0"
    async with serving(**served) as port:
        return await exchange(port, request(operation.method, operation.path, **told))


@pytest.mark.parametrize(("operation", "status"), ANSWERS, ids=str)
async def test_every_documented_answer_is_given_as_documented(operation: Operation, status: int) -> None:
    answer = await provoked(operation, status)
    assert answer.status_code == status
    DOCUMENT.check_answer(operation, answer)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_every_example_is_allowed_and_taken(operation: Operation) -> None:
    async with serving() as port, httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
        for media_type, content in operation.content["requestBody"]["content"].items():
            binary = BINARY_HEADERS if operation.path == "/v1/changes" and media_type == "application/json" else {}
            for example in content["examples"].values():
                DOCUMENT.check_request(operation, media_type, example["value"])
                for prefer in ({}, {"Prefer": "reply"}):
                    headers = {"Content-Type": media_type, **BEARER, **binary, **prefer}
                    url = f"http://127.0.0.1:{port}{operation.path}"
                    answer = await http.request(operation.method, url, json=example["value"], headers=headers)
                    assert answer.status_code == 202, answer.text
                    assert bool(answer.content) != bool(prefer)
                    if answer.content:
                        DOCUMENT.check_answer(operation, answer)


EVENT = {"specversion": "1.0", "id": "1", "source": "/test", "type": "mail.MessageNew", "subject": "alice"}
NOT_TAKEN: dict[str, object] = {
    "specversion": "0.3",
    "id": "",
    "source": "a\x00b",
    "type": "MessageNew",
    "subject": "a/b",
    "time": "yesterday" * 10,
    "data": {"changed": {}},
}


@pytest.mark.parametrize(("member", "value"), NOT_TAKEN.items())
async def test_what_the_document_does_not_allow_is_refused(member: str, value: object) -> None:
    operation = DOCUMENT.operation("post", "/v1/changes")
    schema = operation.content["requestBody"]["content"][STRUCTURED]["schema"]
    assert DOCUMENT.faults(schema, EVENT) == []
    wrong = {**EVENT, member: value}
    assert DOCUMENT.faults(schema, wrong)
    async with serving() as port:
        headers = {"Content-Type": STRUCTURED, **BEARER}
        answer = await exchange(port, request("post", operation.path, headers, json.dumps(wrong).encode()))
    assert answer.status_code == 422
    DOCUMENT.check_answer(operation, answer)
    assert answer.json()["problems"][0]["field"].split(".")[0] == member


async def test_the_port_serves_the_file_and_a_page_of_it(start: Start) -> None:
    publisher = await start(ingest_tokens=TOKEN)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{publisher.port}", timeout=patient(SECONDS)) as http:
        served = await http.get("/openapi.json")
        assert served.headers["content-type"] == "application/json"
        assert served.json() == DOCUMENT.content
        assert (await http.head("/openapi.json")).status_code == 200
        page = await http.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        for operation in OPERATIONS:
            assert f"{operation.method.upper()} {operation.path}" in page.text
        links = re.findall(r"(?:href|src)='?([^\s'>]+)", page.text)
        assert links
        for link in links:
            path, _, anchor = link.partition("#")
            assert not re.match(r"\w+:|//", link)
            assert not path or (await http.get(f"/{path}")).status_code == 200
            assert not anchor or f"id={anchor}>" in page.text


def test_the_file_is_what_the_code_says() -> None:
    assert document() == DOCUMENT.content, "run: make api-documents"
    assert (REFERENCE / "openapi-ingest.json").read_text().endswith("}\n")


def test_the_checks_see_what_is_wrong() -> None:
    operation = DOCUMENT.operation("post", "/v1/resync")
    wrong: list[Callable[[], httpx2.Response]] = [
        lambda: httpx2.Response(418),
        lambda: httpx2.Response(202, json={"accepted": "1"}),
        lambda: httpx2.Response(202, text="1"),
        lambda: httpx2.Response(422, json={"status": 422}, headers={"Content-Type": "application/problem+json"}),
    ]
    for answer in wrong:
        with pytest.raises(AssertionError):
            DOCUMENT.check_answer(operation, answer())
    with pytest.raises(AssertionError):
        DOCUMENT.check_request(operation, "application/json", {"accounts": "alice"})
