"""The OpenAPI document of the admin and probe ports against what they answer, in one process and with workers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from tests.support.api_documents import OpenApi, Operation, exchange, loaded, request
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient
from tidings.bus.memory import MemoryLog
from tidings.gateway.service import compose, joined_pages
from tidings.gateway.settings import GatewaySettings
from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import OpsListeners, ops_sockets
from tidings.ops.process.runtime import new_runtime
from tidings.ops.process.workers.admin import AggregatedAdmin, Answers
from tidings.ops.process.workers.board import Board
from tidings.ops.process.workers.peers import Peers

DOCUMENT = OpenApi(loaded("openapi-admin.yaml"))
OPERATIONS = list(DOCUMENT.operations())
OWN = [operation for operation in OPERATIONS if not operation.path.startswith("/workers/")]
OF_WORKERS = [operation for operation in OPERATIONS if operation not in OWN]
CHANGE = {"X-Requested-With": "test"}
SECONDS = 30.0
REFUSED: Mapping[int, Mapping[str, str]] = {
    400: {"Host": "mail.example", **CHANGE},
    403: {"Sec-Fetch-Site": "cross-site", **CHANGE},
    431: {"Cookie": "a" * 20_000, **CHANGE},
    505: CHANGE,
}
"""Requests that get this status at any path."""
QUERIES = {"/debug/pprof/{name}": "debug=1", "/debug/accounts/{account}": "seconds=0"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    directory = tmp_path_factory.mktemp("up")
    with tidings("up", "--maildir", f"{directory}/mail", "--state-dir", f"{directory}/state") as running:
        yield running


async def asked(
    running: Tidings,
    operation: Operation,
    headers: Mapping[str, str] = CHANGE,
    listener: str = "admin",
    query: str = "",
) -> httpx2.Response:
    url = running.url(listener, DOCUMENT.target(operation))
    async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
        return await http.request(operation.method, f"{url}?{query}", headers=dict(headers))


@pytest.mark.parametrize("operation", OWN, ids=str)
async def test_every_path_answers_as_documented(up: Tidings, operation: Operation) -> None:
    for accept in ("text/html", "application/json"):
        answer = await asked(up, operation, {**CHANGE, "Accept": accept}, query=QUERIES.get(operation.path, ""))
        DOCUMENT.check_answer(operation, answer)
        # What stops the process is rationed.
        assert answer.status_code in ((200, 429) if operation.method == "post" else (200,))


@pytest.mark.parametrize("status", REFUSED)
@pytest.mark.parametrize("operation", OWN, ids=str)
async def test_every_path_refuses_as_documented(up: Tidings, operation: Operation, status: int) -> None:
    version = "2.0" if status == 505 else "1.1"
    told = request(operation.method, DOCUMENT.target(operation), REFUSED[status], version=version)
    answer = await exchange(up.ports["admin"], told)
    assert answer.status_code == status
    DOCUMENT.check_answer(operation, answer)


@pytest.mark.parametrize("operation", [each for each in OWN if each.method == "post"], ids=str)
async def test_nothing_is_changed_without_the_header(up: Tidings, operation: Operation) -> None:
    (parameter,) = (
        found
        for found in map(DOCUMENT.resolved, operation.content["parameters"])
        if found["name"] == "X-Requested-With"
    )
    assert parameter["required"]
    answer = await asked(up, operation, {})
    assert answer.status_code == 403
    DOCUMENT.check_answer(operation, answer)


@pytest.mark.parametrize(
    ("method", "path", "target", "status"),
    [
        ("get", "/assets/{file}", "/assets/none.css", 404),
        ("get", "/debug/assets/{file}", "/debug/assets/none.css", 404),
        ("get", "/debug/flame/{file}", "/debug/flame/none.js", 404),
        ("get", "/debug/requests", "/debug/requests?family=none&format=html", 404),
        ("get", "/debug/accounts/{account}", "/debug/accounts/alice?seconds=soon", 400),
        ("post", "/debug/accounts/{account}/disconnect", "/debug/accounts/alice/disconnect?code=1000", 400),
        ("get", "/debug/pprof/{name}", "/debug/pprof/none", 404),
        ("get", "/debug/pprof/{name}", "/debug/pprof/trace", 501),
        ("get", "/debug/pprof/{name}", "/debug/pprof/heap?seconds=0", 400),
    ],
)
async def test_what_is_not_there_is_refused_as_documented(
    up: Tidings, method: str, path: str, target: str, status: int
) -> None:
    async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
        answer = await http.request(method, up.url("admin", target), headers={**CHANGE, "Accept": "text/html"})
    assert answer.status_code == status
    DOCUMENT.check_answer(DOCUMENT.operation(method, path), answer)


@pytest.mark.parametrize("operation", OWN, ids=str)
async def test_the_probe_port_serves_what_is_tagged_so(up: Tidings, operation: Operation) -> None:
    answer = await asked(up, operation, listener="probe")
    if operation.content["tags"] == ["probes"]:
        DOCUMENT.check_answer(operation, answer)
    else:
        assert answer.status_code == 404


async def test_a_program_of_another_machine_needs_the_token() -> None:
    access, runtime = AdminAccess("a token of sixteen characters"), new_runtime()
    answers = Answers("test", access, {}, {})
    board = Board(1)
    app = AggregatedAdmin(answers, board, Peers(board, {})).apps()["admin"]
    transport = httpx2.ASGITransport(app, client=("192.0.2.1", 40_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://192.0.2.2") as http:
        for operation in OPERATIONS:
            answer = await http.request(operation.method, DOCUMENT.target(operation))
            assert answer.status_code == 401
            DOCUMENT.check_answer(operation, answer)
    runtime.pool.close()


@pytest.fixture(scope="module")
def workers() -> Iterator[Tidings]:
    """A gateway of two workers, whose broker is away: the ports for operators answer all the same."""
    broker = f"amqp://127.0.0.1:{free_ports(1)[0]}/"
    with tidings("gateway", "--workers", "2", "--bus", broker) as running:
        # Each worker says that it has started, and then all of them together.
        running.wait(lambda: any("workers" in event for event in running.events("started")))
        yield running


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_workers_answer_as_documented(workers: Tidings, operation: Operation) -> None:
    if operation not in OF_WORKERS and operation.path not in joined_paths():
        return
    for accept in ("text/html", "application/json"):
        answer = await asked(workers, operation, {**CHANGE, "Accept": accept}, query=QUERIES.get(operation.path, ""))
        DOCUMENT.check_answer(operation, answer)
        assert answer.status_code == 200 or operation.content["tags"] == ["probes"] or operation.method == "post"


@pytest.mark.parametrize(
    ("target", "status"), [("/workers/9/livez", 404), ("/workers/1/debug/pprof/none", 404), ("/workers/1/livez", 200)]
)
async def test_pages_of_one_worker_are_passed_on(workers: Tidings, target: str, status: int) -> None:
    async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
        answer = await http.get(workers.url("admin", target))
    assert answer.status_code == status
    DOCUMENT.check_answer(DOCUMENT.operation("get", "/workers/{number}/{path}"), answer)


def joined_paths() -> set[str]:
    """The paths that the admin process answers for all workers."""
    return {path for _, path in paths(aggregated())}


def aggregated() -> list[BaseRoute]:
    board = Board(1)
    answers = Answers("test", AdminAccess(), joined_pages(), {})
    return AggregatedAdmin(answers, board, Peers(board, {})).apps()["admin"].routes


def paths(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """Methods and paths of routes, as a document has them; an application of its own takes any method: `any`."""
    found = set()
    for route in routes:
        if isinstance(route, Mount):
            found.add(("get", f"{route.path}/{{file}}"))
        elif isinstance(route, Route):
            path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
            found |= {(method.lower(), path) for method in route.methods or {"any"} if method != "HEAD"}
    return found


async def test_the_paths_are_those_that_are_served() -> None:
    log = MemoryLog(shards=2)
    runtime = new_runtime()
    settings = GatewaySettings(port=0, admin_port=0, probe_port=0)
    compose(settings, log, runtime)
    listeners = OpsListeners(
        "test", ops_sockets(settings), runtime.registry, runtime.health, AdminAccess(), runtime.pages, runtime.published
    )
    listeners.start()
    admin, probe = (cast("Starlette", server.config.app) for server in listeners._servers)
    listeners.stop()
    runtime.pool.close()
    documented = {(operation.method, operation.path) for operation in OPERATIONS}
    of_workers = {(operation.method, operation.path) for operation in OF_WORKERS}
    assert paths(admin.routes) == documented - of_workers
    probes = {(each.method, each.path) for each in OPERATIONS if each.content["tags"] == ["probes"]}
    assert paths(probe.routes) == probes
    served = paths(aggregated())
    assert of_workers <= served
    assert {path for _, path in served} <= {path for _, path in documented}
