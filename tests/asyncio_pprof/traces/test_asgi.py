from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asyncio_pprof.traces import Family, Followed, Sampler, Trace, life_of, reached
from asyncio_pprof.traces.asgi import SLOW_SECONDS
from asyncio_pprof.traces.book import BOUNDS, MOST_ACTIVE


class Application:
    """Takes as long and answers as a test says; a clock that only it moves."""

    def __init__(self, every: int = 1, inner: ASGIApp | None = None) -> None:
        self.now = 100.0
        self.takes = 0.0
        self.status = 200
        self.fault: Exception | None = None
        self.family = Family("requests", "")
        routes = [
            Route("/things/{name}", self._answer, methods=["GET", "DELETE"]),
            Host("api.example.org", PlainTextResponse("of another host")),
            Mount("/files", PlainTextResponse("a file")),
            *([Mount("/", inner)] if inner is not None else []),
        ]
        self.app = Followed(
            Starlette(routes=routes), routes, self.family, Sampler(every, float("inf")), lambda: self.now
        )

    async def _answer(self, request: Request) -> Response:
        self.now += self.takes / 2
        reached(request.scope, "halfway")
        self.now += self.takes / 2
        if self.fault is not None:
            raise self.fault
        return PlainTextResponse("answer", self.status)

    async def ask(self, path: str = "/things/secret?token=secret", method: str = "GET") -> None:
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.request(method, path)

    def done(self) -> list[Trace]:
        return [trace for bucket in range(len(BOUNDS)) for trace in self.family.done(bucket)]


async def test_a_request_that_is_followed_has_its_stages_and_is_called_by_its_route() -> None:
    one = Application()
    one.takes = 0.5
    await one.ask()
    (trace,) = one.done()
    assert trace.title == "GET /things/{name}"
    assert trace.events == [(0.25, "halfway"), (0.5, "answered 200")]
    assert trace.latency == 0.5
    assert one.family.active() == ()


@pytest.mark.parametrize(
    ("method", "path", "title"),
    [
        ("POST", "/things/secret", "POST /things/{name}"),
        ("GET", "/files/secret", "GET /files"),
        ("GET", "/secret", "GET another path"),
        ("SECRET", "/secret", "another method another path"),
    ],
)
async def test_only_words_of_the_program_are_in_it(method: str, path: str, title: str) -> None:
    one = Application()
    await one.ask(path, method)
    (trace,) = (*one.done(), *one.family.rejected())
    assert trace.title == title


async def test_of_others_only_the_slow_ones_are_kept() -> None:
    one = Application(every=1000)
    await one.ask()
    await one.ask()
    assert len(one.done()) == 1
    one.takes = 4 * SLOW_SECONDS
    await one.ask()
    _, slow = one.done()
    assert [stage for _, stage in slow.events] == ["halfway", "answered 200"]


async def test_all_that_are_rejected_or_fail_are_kept_apart() -> None:
    one = Application(every=1000)
    await one.ask()
    for one.status in (404, 503):
        await one.ask()
    one.fault = KeyError("a fault")
    await one.ask()
    (rejected,) = one.family.rejected()
    fault, full = one.family.failed()
    assert rejected.events[-1][1] == "answered 404"
    assert [trace.events[0][1] for trace in (rejected, full, fault)] == ["halfway"] * 3
    assert full.events[-1][1] == "answered 503"
    assert fault.events[-1][1] == "answered 500"
    assert {trace.title for trace in (rejected, full, fault)} == {"GET /things/{name}"}


async def test_one_that_ends_without_an_answer_is_an_error() -> None:
    family = Family("requests", "")

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    asking = asyncio.ensure_future(_call(Followed(hang, [], family), {"type": "http", "method": "GET", "path": "/"}))
    await asyncio.sleep(0)
    assert len(family.active()) == 1
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    (trace,) = family.failed()
    assert trace.events[-1][1] == "ended without an answer"
    assert family.active() == ()


async def test_what_is_inside_another_that_is_followed_has_its_own_life() -> None:
    inner = Application()
    outer = Application(inner=inner.app)
    await outer.ask()
    await outer.ask("/unknown")
    assert [trace.title for trace in outer.done()] == ["GET /things/{name}"]
    assert [trace.title for trace in outer.family.rejected()] == ["GET another path"]
    assert [trace.title for trace in inner.family.rejected()] == ["GET another path"]


async def test_no_more_are_followed_than_are_kept() -> None:
    one = Application()
    while not one.family.is_full:
        one.family.begin("other", 0.0)
    await one.ask()
    assert len(one.family.active()) == MOST_ACTIVE
    assert one.done() == []


async def test_where_nobody_follows_nothing_is_noted() -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached(scope, "here")
        seen.append(life_of(scope))

    await _call(app, {"type": "http"})
    family = Family("requests", "")
    await _call(Followed(app, [], family), {"type": "lifespan"})
    assert seen == [None, None]
    assert family.counts() == (0, (0,) * len(BOUNDS), 0, 0)


def _call(app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope) -> Awaitable[None]:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    return app(scope, receive, send)
