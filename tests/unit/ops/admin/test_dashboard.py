"""`/debug/vars` and the page at `/`, over a real admin listener. What the page draws: tests/browser."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import httpx2
import pytest

from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import OpsListeners
from tidings.ops.health import Health
from tidings.ops.metrics import HotMetrics, new_registry
from tidings.ops.troubles import Trouble


class Listener:
    def __init__(self) -> None:
        self.health = Health()
        self.published: dict[str, object] = {}
        registry = new_registry()
        HotMetrics(registry).counter("tidings_pushes", "", lambda: 7)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.listeners = OpsListeners(
            "Tidings <test>",
            {"admin": self.socket},
            registry,
            self.health,
            AdminAccess(),
            published={"talkers": lambda: self.published},
        )
        self.listeners.start()

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.socket.getsockname()[1]}{path}")


@pytest.fixture
def listener() -> Iterator[Listener]:
    started = Listener()
    yield started
    started.listeners.stop()


def test_variables_are_metrics_health_and_what_is_published(listener: Listener) -> None:
    listener.published["alice"] = 1
    listener.health.set_ready("log", False, "not connected")
    told = listener.get("/debug/vars").json()
    assert told["metrics"]["tidings_pushes_total"] == 7
    assert told["metrics"]["process_resident_memory_bytes"] > 0
    unready = {"log": "not connected"}
    assert told["state"] == {"alive": True, "ready": False, "unready": unready, "troubles": []}
    assert told["talkers"] == {"alice": 1}
    assert told["process"]["title"] == "Tidings <test>"
    assert "metrics" not in listener.get("/debug/vars?metrics=0").json()


def test_the_page_needs_nothing_from_elsewhere(listener: Listener) -> None:
    page = listener.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "Tidings &lt;test&gt;" in page.text
    assert "http" not in page.text.replace("http-equiv", "")
    scripts = ("dashboard.js", "panels.js", "troubles.js", "drawing.js", "numbers.js")
    linked = re.findall(r"(?:href|src)='([^']+)'", page.text)
    assert {"debug/assets/pages.css", "assets/dashboard.css", "assets/icon.svg"} <= set(linked)
    for asset in (*linked, *(f"assets/{script}" for script in scripts)):
        assert listener.get(f"/{asset}").status_code == 200
    assert listener.get("/assets/../page.py").status_code == 404
    assert listener.get("/assets/none.js").status_code == 404


def test_what_is_wrong_is_told_for_as_long_as_it_is(listener: Listener) -> None:
    wrong = [Trouble("RabbitMQ <is> away", "refused", "TidingsBrokerUnreachable")]
    listener.health.watch(lambda: wrong)
    listener.health.watch(lambda: wrong)
    page = listener.get("/").text
    assert page.count("RabbitMQ &lt;is&gt; away") == 1
    assert page.index("RabbitMQ") < page.index("id=dashboard")
    link = re.search(r'href="(debug/runbooks)#(\w+)"', page)
    assert link is not None
    runbooks = listener.get(f"/{link[1]}").text
    assert f"<h2 id={link[2]}>TidingsBrokerUnreachable</h2>" in runbooks
    assert "no connection to RabbitMQ for five minutes" in runbooks
    expected = {"what": "RabbitMQ <is> away", "why": "refused", "runbook": "TidingsBrokerUnreachable"}
    assert listener.get("/debug/vars").json()["state"]["troubles"] == [expected]
    wrong.clear()
    assert listener.get("/debug/vars").json()["state"]["troubles"] == []
    assert "class=trouble" not in listener.get("/").text
