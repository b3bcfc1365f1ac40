"""The door: the pages in another program, mounted or in a thread of their own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from asyncio_pprof import Home, Options, Profiling, reached
from tests.support.pprof import decompressed
from tests.support.waiting import comes_true

HTML = {"Accept": "text/html"}
STUCK_SECONDS = 10.0
PAGES = ("pprof/", "memory", "gc", "objects?force=1", "requests", "flame/", "assets/pages.css", "assets/icon.svg")


async def hello(request: Request) -> Response:
    reached(request.scope, "about to say it")
    return PlainTextResponse("hello")


@pytest.fixture
def profiling() -> Profiling:
    return Profiling(Options("shop"))


@pytest.fixture
async def shop(profiling: Profiling) -> AsyncIterator[httpx2.AsyncClient]:
    app = Starlette(routes=[Route("/hello", hello), Mount("/debug", profiling.app())])
    app.add_middleware(profiling.follow, routes=app.routes)
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 40000))
    with profiling.watching():
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=HTML) as client:
            yield client


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_is_below_where_it_is_mounted(shop: httpx2.AsyncClient, page: str) -> None:
    answer = await shop.get(f"/debug/{page}")
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_links_lead_to_pages_that_there_are(shop: httpx2.AsyncClient) -> None:
    entrance = await shop.get("/debug/", follow_redirects=True)
    assert entrance.url.path == "/debug/pprof/"
    assert "Dashboard" not in entrance.text
    memory = await shop.get("/debug/memory")
    assert "<a href='pprof/'>Profiles</a>" in memory.text
    assert "href='assets/pages.css'" in memory.text


async def test_the_program_says_what_the_pages_lead_back_to() -> None:
    profiling = Profiling(Options("shop"), home=Home("Till <1>", "../till"))
    transport = httpx2.ASGITransport(Starlette(routes=profiling.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=HTML) as client:
        for page in ("memory", "gc", "objects?force=1", "requests"):
            assert "<a href='../till'>Till &lt;1&gt;</a>" in (await client.get(f"/debug/{page}")).text
        assert "<a href='../../till'>Till &lt;1&gt;</a>" in (await client.get("/debug/pprof/")).text


async def test_profiles_are_called_by_the_program_and_see_its_tasks(shop: httpx2.AsyncClient) -> None:
    waiting = asyncio.create_task(asyncio.sleep(3600), name="waits")
    await asyncio.sleep(0)
    profile = decompressed((await shop.get("/debug/pprof/goroutine")).content)
    assert any(stack[0][0] == "asyncio.tasks.sleep" for stack, _ in profile.samples)
    waiting.cancel()
    assert "shop: profiles" in (await shop.get("/debug/pprof/")).text


async def test_requests_are_followed_by_the_programs_own_routes(shop: httpx2.AsyncClient) -> None:
    await shop.get("/hello")
    told = (await shop.get("/debug/requests?format=json")).json()["requests"]
    (trace,) = [trace for bucket in told["buckets"] for trace in bucket["latest"]]
    assert trace["title"] == "GET /hello"
    assert trace["stages"][0]["stage"] == "about to say it"


async def test_growth_and_pauses_are_counted_while_it_is_watched(shop: httpx2.AsyncClient) -> None:
    layers = (await shop.get("/debug/memory?format=json")).json()["layers"]
    assert any(layer["growth_bytes"] is not None for layer in layers)
    before = (await shop.get("/debug/gc?format=json")).json()["pause_seconds_buckets"]["2"]["+Inf"]
    await shop.get("/debug/pprof/heap?gc=1&seconds=1")
    after = (await shop.get("/debug/gc?format=json")).json()["pause_seconds_buckets"]["2"]["+Inf"]
    assert after > before


async def test_a_guard_decides_who_is_answered(profiling: Profiling) -> None:
    def by_token(request: Request) -> Response | None:
        known = request.headers.get("authorization") == "Bearer secret"
        return None if known else PlainTextResponse("who are you?", 401)

    for app, headers, status in (
        (profiling.app(), {}, 403),
        (profiling.app(by_token), {}, 401),
        (profiling.app(by_token), {"Authorization": "Bearer secret"}, 200),
    ):
        transport = httpx2.ASGITransport(app, client=("10.0.0.9", 40000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            for page in PAGES:
                assert (await client.get(page)).status_code == status


async def test_a_lifespan_watches_the_loop(profiling: Profiling) -> None:
    async with profiling.lifespan(None):
        assert any(thread.name == "pprof-stalls" for thread in threading.enumerate())
    assert not any(thread.name == "pprof-stalls" for thread in threading.enumerate())


@pytest.fixture
def stuck(profiling: Profiling) -> Iterator[int]:
    """The port of a program whose loop is stuck."""
    ports: list[int] = []
    up, end = threading.Event(), threading.Event()

    def block() -> None:
        up.set()
        end.wait()

    async def program() -> None:
        with profiling.serving(port=0) as port:
            ports.append(port)
            block()

    thread = threading.Thread(target=asyncio.run, args=(program(),), name="program")
    thread.start()
    assert up.wait(60)
    yield ports[0]
    end.set()
    thread.join()


def test_from_a_thread_the_pages_answer_while_the_loop_is_stuck(stuck: int) -> None:
    address = f"http://127.0.0.1:{stuck}/debug"
    for page in PAGES:
        assert httpx2.get(f"{address}/{page}").status_code == 200
    assert "test_profiling.stuck.<locals>.block" in httpx2.get(f"{address}/pprof/goroutine?debug=2").text

    def is_stuck() -> bool:
        profile = decompressed(httpx2.get(f"{address}/pprof/block?seconds=1").content)
        return any("block" in name for stack, _ in profile.samples for name, _, _ in stack)

    # Here the block profile has it too, once it is late enough.
    assert comes_true(is_stuck, STUCK_SECONDS)


def test_an_address_that_is_taken_is_said(profiling: Profiling) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        async def program() -> None:
            with profiling.serving(port=other.getsockname()[1]):
                pass

        with pytest.raises(OSError, match="in use"):
            asyncio.run(program())
    assert not any(thread.name == "asyncio-pprof" for thread in threading.enumerate())
