"""The aggregated admin endpoint over real workers' admin listeners, on Unix sockets in this process."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.waiting import within
from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import OpsListeners
from tidings.ops.budget import Budget
from tidings.ops.health import STUCK_SECONDS, Health
from tidings.ops.http.serving import QuietServer, quiet_config
from tidings.ops.metrics import HotMetrics, new_registry
from tidings.ops.process.workers import forwarding, peers
from tidings.ops.process.workers.admin import AggregatedAdmin, Answers
from tidings.ops.process.workers.board import Board
from tidings.ops.process.workers.peers import Peers
from tidings.ops.troubles import Trouble

TOKEN = "correct horse battery staple"
MEANT = {"X-Requested-With": "test"}


def unix_listener() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind("")
    sock.listen()
    return sock


class Worker:
    """A worker's admin listener, and what it tells of."""

    def __init__(self, pushes: int) -> None:
        self.health = Health()
        self.socket = unix_listener()
        registry = new_registry()
        HotMetrics(registry).counter("tidings_pushes", "Pushes.", lambda: pushes)
        self.listeners = OpsListeners("worker", {"admin": self.socket}, registry, self.health, AdminAccess(TOKEN))
        self.listeners.start()


class Crowd:
    """Workers 1..n, and the admin endpoint that asks them."""

    def __init__(self, *sockets: socket.socket) -> None:
        self.board = Board(len(sockets))
        for number, seat in self.board.workers.items():
            seat.pid, seat.beat = 1000 + number, time.monotonic()
        addresses = {number: sock.getsockname().decode() for number, sock in enumerate(sockets, 1)}
        self.peers = Peers(self.board, addresses)
        self.apps = AggregatedAdmin(
            Answers("Tidings <test>", AdminAccess(TOKEN), {}, {}), self.board, self.peers
        ).apps()

    async def get(self, path: str, listener: str = "admin", **headers: str) -> httpx2.Response:
        return await self.request("GET", path, listener, headers=headers)

    async def request(self, method: str, path: str, listener: str = "admin", **options: object) -> httpx2.Response:
        peer = options.pop("peer", "127.0.0.1")
        base = f"http://{peer}"
        transport = httpx2.ASGITransport(self.apps[listener], raise_app_exceptions=False, client=(str(peer), 40000))
        async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type]


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    running = [Worker(3), Worker(4)]
    yield running
    for worker in running:
        worker.listeners.stop()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers here share a busy machine with the tests."""
    monkeypatch.setattr(peers, "ANSWER_SECONDS", 10.0)


@asynccontextmanager
async def crowd_of(*sockets: socket.socket) -> AsyncIterator[Crowd]:
    crowd = Crowd(*sockets)
    try:
        yield crowd
    finally:
        await crowd.peers.close()


@pytest.fixture
async def crowd(workers: list[Worker]) -> AsyncIterator[Crowd]:
    async with crowd_of(*(worker.socket for worker in workers)) as running:
        yield running


def samples(text: str) -> dict[tuple[str, str | None], float]:
    return {
        (sample.name, sample.labels.get("worker")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("listener", ["admin", "probe"])
async def test_metrics_are_the_sum_of_the_workers(crowd: Crowd, listener: str) -> None:
    total = samples((await crowd.get("/metrics", listener)).text)
    assert total["tidings_pushes_total", None] == 7
    assert total["tidings_worker_up", "1"] == total["tidings_worker_up", "2"] == 1
    assert total["tidings_worker_restarts_total", "2"] == 0


async def test_metrics_in_the_format_that_is_asked_for(crowd: Crowd) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    answer = await crowd.get("/metrics", Accept=accept)
    assert answer.headers["content-type"].startswith(accept)
    assert answer.text.endswith("# EOF\n")


async def test_variables_are_the_sums_and_what_each_worker_publishes(crowd: Crowd) -> None:
    told = (await crowd.get("/debug/vars")).json()
    assert told["metrics"]["tidings_pushes_total"] == 7
    assert told["metrics"]["tidings_worker_up"] == {"1": 1, "2": 1}
    assert told["state"] == {"alive": True, "ready": True, "unready": {}, "troubles": []}
    assert told["process"]["title"] == "Tidings <test>"
    assert {number: worker["url"] for number, worker in told["workers"].items()} == {
        "1": "workers/1/",
        "2": "workers/2/",
    }
    assert told["workers"]["1"]["state"]["ready"] is True
    assert "metrics" not in told["workers"]["1"]
    assert (await crowd.get("/debug/vars", "probe")).status_code == 404


async def test_the_pages_of_a_worker_find_their_assets_below_its_prefix(crowd: Crowd) -> None:
    assert (await crowd.get("/assets/dashboard.js")).status_code == 200
    assert (await crowd.get("/workers/2/assets/dashboard.js")).status_code == 200
    assert (await crowd.get("/workers/2/debug/vars")).json()["metrics"]["tidings_pushes_total"] == 4


async def test_a_worker_that_does_not_answer_is_left_out_and_counted(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Peers._ask

    async def ask_impatiently(self: Peers, number: int, path: str, method: str, seconds: float) -> object:
        # The other one has all the time that it needs.
        return await ask(self, number, path, method, 0.1 if number == 2 else seconds)

    monkeypatch.setattr(Peers, "_ask", ask_impatiently)
    with unix_listener() as deaf:
        async with crowd_of(workers[0].socket, deaf) as crowd:
            total = samples((await crowd.get("/metrics")).text)
            assert total["tidings_pushes_total", None] == 3
            assert (total["tidings_worker_up", "1"], total["tidings_worker_up", "2"]) == (1, 0)
            assert total["tidings_worker_unanswered_total", "2"] == 1
            ready = await crowd.get("/readyz")
            assert ready.status_code == 200
            assert ready.json()["unready"] == {"worker 2": "does not answer"}


async def test_a_worker_of_which_too_much_is_asked_is_left_out(workers: list[Worker]) -> None:
    sock = unix_listener()
    server = QuietServer(quiet_config(Starlette(), 0, Budget().account("requests")))
    serving = asyncio.create_task(server.serve([sock]))
    try:
        async with crowd_of(workers[0].socket, sock) as crowd:
            ready = await crowd.get("/readyz", "probe")
            assert (ready.status_code, ready.json()["unready"]) == (200, {"worker 2": "does not answer"})
            total = samples((await crowd.get("/metrics", "probe")).text)
            assert total["tidings_pushes_total", None] == 3
            assert (total["tidings_worker_up", "1"], total["tidings_worker_up", "2"]) == (1, 0)
    finally:
        server.end()
        await serving


async def test_a_worker_that_does_not_run_is_not_asked(crowd: Crowd) -> None:
    crowd.board.workers[2].pid = 0
    crowd.board.workers[2].restarts = 5
    total = samples((await crowd.get("/metrics")).text)
    assert total["tidings_pushes_total", None] == 3
    assert (total["tidings_worker_up", "2"], total["tidings_worker_restarts_total", "2"]) == (0, 5)
    assert total["tidings_worker_unanswered_total", "2"] == 0
    assert ("tidings_worker_beat_age_seconds", "2") not in total
    assert (await crowd.get("/readyz")).json()["unready"] == {"worker 2": "not running"}


@pytest.mark.parametrize("listener", ["admin", "probe"])
async def test_ready_with_one_worker_that_is(workers: list[Worker], crowd: Crowd, listener: str) -> None:
    assert (await crowd.get("/readyz", listener)).json() == {"status": "ready", "unready": {}}
    workers[0].health.set_ready("log", False, "not connected yet")
    one = await crowd.get("/readyz", listener)
    assert (one.status_code, one.json()["unready"]) == (200, {"worker 1": "log: not connected yet"})
    workers[1].health.set_ready("log", False, "not connected yet")
    none = await crowd.get("/readyz", listener)
    assert (none.status_code, list(none.json()["unready"])) == (503, ["worker 1", "worker 2"])


@pytest.mark.parametrize("listener", ["admin", "probe"])
async def test_a_stuck_worker_is_named(crowd: Crowd, listener: str) -> None:
    assert (await crowd.get("/livez", listener)).status_code == 200
    crowd.board.workers[2].beat -= STUCK_SECONDS
    stuck = await crowd.get("/livez", listener)
    assert stuck.status_code == 503
    assert "worker 2" in stuck.json()["detail"]
    assert "worker 1" not in stuck.json()["detail"]


async def test_the_page_leads_to_each_workers_own(crowd: Crowd) -> None:
    page = await crowd.get("/")
    assert "Tidings &lt;test&gt;" in page.text
    assert '<a href="workers/2/">' in page.text
    listed = (await crowd.get("/workers/")).json()
    assert [(worker["worker"], worker["pid"]) for worker in listed] == [(1, 1001), (2, 1002)]
    for worker in listed:
        assert "worker" in (await crowd.get(worker["url"])).text
    assert "tidings_pushes_total 4.0" in (await crowd.get("/workers/2/metrics")).text
    assert (await crowd.get("/workers/", "probe")).status_code == 404
    assert (await crowd.get("/workers/1/metrics", "probe")).status_code == 404


async def test_a_foreign_host_name_is_refused(crowd: Crowd) -> None:
    assert (await crowd.get("/workers/1/metrics", Host="evil.example")).status_code == 400
    assert (await crowd.get("/workers/", Host="evil.example")).status_code == 400


async def test_from_elsewhere_the_token_is_required_and_passed_on(crowd: Crowd) -> None:
    def ask(**headers: str) -> Coroutine[None, None, httpx2.Response]:
        return crowd.request("GET", "/workers/1/metrics", peer="10.0.0.9", headers=headers)

    assert (await ask()).status_code == 401
    assert (await ask(Host="localhost")).status_code == 401
    known = await ask(Authorization=f"Bearer {TOKEN}")
    assert (known.status_code, known.request.headers["host"]) == (200, "10.0.0.9")
    assert "tidings_pushes_total 3.0" in known.text


async def test_changing_something_needs_a_header(crowd: Crowd) -> None:
    assert (await crowd.request("POST", "/workers/1/")).status_code == 403
    assert (await crowd.request("POST", "/workers/1/", headers=MEANT)).status_code == 405


async def test_what_cannot_be_passed_on_is_said(crowd: Crowd) -> None:
    assert (await crowd.get("/workers/3/metrics")).status_code == 404
    assert (await crowd.get("/workers/x/metrics")).status_code == 404
    crowd.board.workers[2].pid = 0
    gone = await crowd.get("/workers/2/metrics")
    assert (gone.status_code, gone.headers["content-type"]) == (503, "application/problem+json")
    assert gone.json()["detail"] == "worker 2 is not running"


async def echo(request: Request) -> Response:
    told = {name: request.headers.get(name) for name in ("content-type", "origin", "host", "x-odd")}
    return JSONResponse(
        {"path": request.scope["raw_path"].decode(), "query": request.url.query, "body": len(await request.body())}
        | {"method": request.method, **told},
        status_code=418,
        headers={"X-Answer": "yes"},
    )


async def endless(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    return StreamingResponse(chunks())


@asynccontextmanager
async def odd_worker(reached: asyncio.Event | None = None) -> AsyncIterator[Crowd]:
    """A crowd of one worker with pages of its own; `reached` is set when the silent one is asked for."""

    async def silent(request: Request) -> Response:
        if reached is not None:
            reached.set()
        await asyncio.sleep(3600)
        raise AssertionError

    routes = [
        Route("/endless", endless),
        Route("/silent", silent),
        Route("/{path:path}", echo, methods=["GET", "POST"]),
    ]
    sock = unix_listener()
    server = QuietServer(quiet_config(Starlette(routes=routes), 64, Budget().account("requests")))
    server.config.timeout_graceful_shutdown = 0
    serving = asyncio.create_task(server.serve([sock]))
    try:
        async with crowd_of(sock) as crowd:
            yield crowd
    finally:
        server.end()
        await serving


async def test_a_request_is_passed_on_as_it_is() -> None:
    async with odd_worker() as crowd:
        answer = await crowd.request(
            "POST",
            "/workers/1/debug/a%2Cb/?seconds=1&x=%20",
            content=b"x" * 1000,
            headers={
                "X-Odd": "1",
                "X-Requested-With": "test",
                "Origin": "http://elsewhere",
                "Content-Type": "text/odd",
            },
        )
        assert (answer.status_code, answer.headers["x-answer"]) == (418, "yes")
        assert answer.json() == {
            "path": "/debug/a%2Cb/",
            "query": "seconds=1&x=%20",
            "body": 1000,
            "method": "POST",
            "content-type": "text/odd",
            "origin": "http://elsewhere",
            "host": "127.0.0.1",
            "x-odd": "1",
        }
        assert (await crowd.get("/workers/1/")).json()["path"] == "/"
        assert (await crowd.request("DELETE", "/workers/1/", headers=MEANT)).status_code == 405


async def test_a_body_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_BODY_BYTES", 1000)
    async with odd_worker() as crowd:
        assert (await crowd.request("POST", "/workers/1/", content=b"x" * 1001, headers=MEANT)).status_code == 413
        assert (await crowd.request("POST", "/workers/1/", content=b"x" * 1000, headers=MEANT)).status_code == 418


async def test_an_answer_that_is_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_ANSWER_BYTES", 1_000_000)
    async with odd_worker() as crowd:
        received = 0
        ended = False

        async def send(message: dict[str, object]) -> None:
            nonlocal received, ended
            body = message.get("body", b"")
            assert isinstance(body, bytes)
            received += len(body)
            ended |= message["type"] == "http.response.body" and not message.get("more_body")

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/workers/1/endless",
            "raw_path": b"/workers/1/endless",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
        }
        await crowd.apps["admin"](scope, receive, send)  # type: ignore[arg-type]
        assert 0 < received <= 1_000_000
        assert not ended


async def test_a_worker_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with odd_worker() as crowd:
        with monkeypatch.context() as impatient:
            impatient.setattr(forwarding, "FORWARD_SECONDS", 0.2)
            late = await crowd.get("/workers/1/silent")
        assert (late.status_code, late.json()["status"]) == (504, 504)
        assert (await crowd.get("/workers/1/")).status_code == 418


async def test_only_so_many_are_passed_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_FORWARDED", 1)
    reached = asyncio.Event()
    async with odd_worker(reached) as crowd:
        waiting = asyncio.create_task(crowd.get("/workers/1/silent"))
        async with within(10):
            await reached.wait()
        assert (await crowd.get("/workers/1/")).status_code == 503
        waiting.cancel()
        await asyncio.wait({waiting})
        assert (await crowd.get("/workers/1/")).status_code == 418


async def test_a_worker_that_hangs_up_is_a_bad_gateway() -> None:
    with unix_listener() as sock:
        async with crowd_of(sock) as crowd:
            asking = asyncio.create_task(crowd.get("/workers/1/"))
            accepted, _ = await asyncio.to_thread(sock.accept)
            accepted.close()
            assert (await asking).status_code == 502


async def test_what_is_wrong_is_told_with_the_workers_that_have_it(crowd: Crowd, workers: list[Worker]) -> None:
    away = Trouble("RabbitMQ is away", "refused", "TidingsBrokerUnreachable")
    full = Trouble("The spool is full", "so many bytes", "TidingsSpoolFilling")
    for worker in workers:
        worker.health.watch(lambda: [away])
    workers[1].health.watch(lambda: [full])
    told = (await crowd.get("/debug/vars")).json()["state"]["troubles"]
    assert told == [asdict(away), asdict(replace(full, what="worker 2: The spool is full"))]
    page = (await crowd.get("/")).text
    assert "<strong>worker 2: The spool is full</strong>" in page
    assert "<h2 id=tidingsspoolfilling>" in (await crowd.get("/debug/runbooks")).text
