from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from asyncio_pprof.traces import Book, RequestPages

HTML = {"Accept": "text/html"}


@pytest.fixture
def book() -> Book:
    book = Book()
    family = book.family("things", "from here to there")
    family.settle(family.begin("quick one", 0.0), 0.002)
    family.fail(family.begin("bad one", 0.0), 0.1, "failed")
    family.reject(family.begin("unwanted one", 0.0), 0.1, "rejected")
    return book


@pytest.fixture
async def client(book: Book) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(Starlette(routes=RequestPages(book, clock=lambda: 10.0).routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=HTML) as client:
        yield client


async def test_the_families_and_the_traces_that_are_asked_for(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/debug/requests")).text
    assert "things" in page
    assert "quick one" not in page
    assert "quick one" in (await client.get("/debug/requests?family=things&show=1")).text
    assert "quick one" in (await client.get("/debug/requests?family=things")).text
    errors = (await client.get("/debug/requests?family=things&show=errors")).text
    assert "bad one" in errors
    assert "failed" in errors
    rejections = (await client.get("/debug/requests?family=things&show=rejections")).text
    assert "unwanted one" in rejections
    assert "bad one" not in rejections


@pytest.mark.parametrize(
    "query", ["family=none", "family=things&show=9", "family=things&show=x", "family=things&show=-1"]
)
async def test_what_there_is_not_is_said(client: httpx2.AsyncClient, query: str) -> None:
    assert (await client.get(f"/debug/requests?{query}")).status_code == 404


async def test_json_has_everything(client: httpx2.AsyncClient) -> None:
    told = (await client.get("/debug/requests?format=json")).json()["things"]
    assert (told["active"], told["rejections"], told["errors"]) == (1, 1, 1)
    assert told["buckets"][1]["from_seconds"] == 0.001
    assert told["buckets"][1]["latest"][0]["title"] == "quick one"
    assert told["latest_errors"][0]["error"] is True
    assert told["latest_rejections"][0]["title"] == "unwanted one"
