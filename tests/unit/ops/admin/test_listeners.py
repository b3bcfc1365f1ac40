from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tidings.errors import SettingsError
from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import OpsListeners, document_response, ops_sockets
from tidings.ops.health import STUCK_SECONDS, Health
from tidings.ops.metrics import new_registry
from tidings.ops.settings.common import OpsSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def answer(request: Request) -> Response:
    return PlainTextResponse(f"own {request.path_params}")


class Ops:
    def __init__(self) -> None:
        self.clock = Clock()
        self.health = Health(self.clock)
        self.sockets = ops_sockets(OpsSettings(admin_port=0, probe_port=0))
        pages = [Route("/debug/own", answer), Route("/debug/own/{name}", answer)]
        self.listeners = OpsListeners("Tidings <test>", self.sockets, new_registry(), self.health, AdminAccess(), pages)
        self.listeners.start()

    def get(self, listener: str, path: str, **headers: str) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.sockets[listener].getsockname()[1]}{path}"
        return httpx2.get(url, headers=httpx2.Headers(headers, encoding="latin-1"))


@pytest.fixture
def ops() -> Iterator[Ops]:
    started = Ops()
    yield started
    started.listeners.stop()


@pytest.mark.parametrize("listener", ["admin", "probe"])
def test_probes_say_what_health_says(ops: Ops, listener: str) -> None:
    assert ops.get(listener, "/livez").status_code == 200
    assert ops.get(listener, "/readyz").json() == {"status": "ready", "unready": {}}
    ops.health.set_ready("log", False, "not connected")
    unready = ops.get(listener, "/readyz")
    assert (unready.status_code, unready.json()["unready"]) == (503, {"log": "not connected"})
    ops.clock.now += STUCK_SECONDS
    assert ops.get(listener, "/livez").status_code == 503


@pytest.mark.parametrize("listener", ["admin", "probe"])
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_metrics_in_the_format_that_is_asked_for(ops: Ops, listener: str, accept: str) -> None:
    answer = ops.get(listener, "/metrics", Accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(accept.split(";")[0])
    assert any(family.name == "process_resident_memory_bytes" for family in text_string_to_metric_families(answer.text))


@pytest.mark.parametrize("accepted", ["application/openmetrics-text", "text/plain"])
def test_metrics_for_who_asks_for_a_version_that_is_none(ops: Ops, accepted: str) -> None:
    for version in ("", "x", "1.x", "1.0.0-rc", "\xb2"):
        answer = ops.get("probe", "/metrics", Accept=f"{accepted}; version={version}")
        assert answer.status_code == 200
        assert "process_resident_memory_bytes" in answer.text


def test_the_admin_page_escapes_its_title(ops: Ops) -> None:
    page = ops.get("admin", "/")
    assert "Tidings &lt;test&gt;" in page.text
    assert "<script>" not in page.text
    assert ops.get("probe", "/").status_code == 404


def test_a_service_has_pages_of_its_own_on_admin_only(ops: Ops) -> None:
    assert ops.get("admin", "/debug/own/alice").text == "own {'name': 'alice'}"
    assert 'href="debug/own"' in ops.get("admin", "/").text
    assert "{name}" not in ops.get("admin", "/").text
    assert ops.get("probe", "/debug/own").status_code == 404


def test_a_foreign_host_name_is_refused_by_admin_only(ops: Ops) -> None:
    assert ops.get("admin", "/metrics", Host="evil.example").status_code == 400
    assert ops.get("admin", "/metrics", Host="localhost:1234").status_code == 200
    assert ops.get("admin", "/metrics", Host="[::1]:9090").status_code == 200
    assert ops.get("probe", "/livez", Host="10.0.0.7:9091").status_code == 200


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            ops_sockets(OpsSettings(admin_port=0, probe_port=port))


def test_a_document_is_json_with_a_line_for_each_item() -> None:
    document = {"name": "ü", "none": None, "empty": [], "items": [{"a": 1}, {"b": [2]}]}
    text = bytes(document_response(document).body).decode()
    assert json.loads(text) == document
    assert text.splitlines()[3:-1] == ['  "empty": [],', '  "items": [', '    {"a": 1},', '    {"b": [2]}', "  ]"]
