"""The admin and probe listeners, in a thread with a loop of its own: they answer when the main loop is stuck."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from tidings.errors import SettingsError
from tidings.ops.admin import runbooks
from tidings.ops.admin.dashboard import ASSETS, Published, VariablesPage, dashboard_page
from tidings.ops.admin.guard import AdminAccess, AdminGuard
from tidings.ops.budget import Budget
from tidings.ops.health import Health
from tidings.ops.http.serving import QuietServer, bind, quiet_config
from tidings.ops.settings.common import OpsSettings

MAX_REQUESTS: Final = 64
STOP_SECONDS: Final = 2.0
OPS_BYTES: Final = {"admin": 512 * 1024 * 1024, "probe": 16 * 1024 * 1024}
"""What the connections of a listener may make the process hold. Profiles are large, and for those who are let in."""

_log = structlog.get_logger()


def ops_sockets(settings: OpsSettings) -> dict[str, socket.socket]:
    """Listening sockets by listener, `admin` and `probe`. Raises SettingsError when one cannot be had."""
    sockets: dict[str, socket.socket] = {}
    addresses = (
        ("admin", settings.admin_host, settings.admin_port),
        ("probe", settings.probe_host, settings.probe_port),
    )
    try:
        for name, host, port in addresses:
            sockets[name] = bind(host, port)
    except SettingsError:
        for sock in sockets.values():
            sock.close()
        raise
    for name, host, _ in addresses:
        sockets[name].listen()
        _log.info("listening", service=name, host=host, port=sockets[name].getsockname()[1])
    return sockets


def ops_server(name: str, app: ASGIApp) -> QuietServer:
    """The server of a listener, `admin` or `probe`.

    It has a budget of its own: that of the process has no lock, and belongs to the thread of the main loop.
    """
    return QuietServer(quiet_config(app, MAX_REQUESTS, Budget(OPS_BYTES[name]).account("requests")))


def guarded(routes: Sequence[BaseRoute], access: AdminAccess) -> Starlette:
    """An application for the admin listener: it answers those whom `access` lets."""
    return Starlette(routes=routes, middleware=[Middleware(AdminGuard, access=access)])


def metrics_response(metrics: Collector, request: Request) -> Response:
    """Everything that is collected, in the format that the request asks for."""
    try:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
    except TypeError:
        # Of a version that is no number the library compares the text with one.
        encoder, content_type = choose_encoder("")
    return Response(encoder(metrics), headers={"Content-Type": content_type})


def document_response(document: Mapping[str, object]) -> Response:
    """JSON that people can read too: a line for each member, and for each item of a list."""
    members = []
    for name, value in document.items():
        items = value if isinstance(value, list) else []
        text = ",".join(f"\n    {json.dumps(item, ensure_ascii=False)}" for item in items)
        text = f"[{text}\n  ]" if items else json.dumps(value, ensure_ascii=False)
        members.append(f"  {json.dumps(name)}: {text}")
    return Response("{\n" + ",\n".join(members) + "\n}\n", media_type="application/json")


def readiness_response(ready: bool, unready: Mapping[str, str]) -> Response:
    """What /readyz says."""
    return JSONResponse({"status": "ready" if ready else "unready", "unready": unready}, 200 if ready else 503)


class OpsListeners:
    """Small HTTP servers, by listener: `admin` has everything, `probe` probes and metrics only.

    `pages` are those that services add to the admin listener. Their handlers run in its thread and loop.
    """

    def __init__(
        self,
        title: str,
        sockets: Mapping[str, socket.socket],
        registry: CollectorRegistry,
        health: Health,
        access: AdminAccess,
        pages: Sequence[Route] = (),
        published: Published | None = None,
    ) -> None:
        self._title = title
        self._sockets = sockets
        self._registry = registry
        self._health = health
        self._access = access
        variables = VariablesPage(title, registry, health, {} if published is None else published)
        self._pages = [*pages, *variables.routes(), runbooks.ROUTE]
        self._servers: list[QuietServer] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        common = [
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        apps = {
            "admin": guarded([Route("/", self._index), *ASSETS, *self._pages, *common], self._access),
            "probe": Starlette(routes=common),
        }
        self._servers = [ops_server(name, apps[name]) for name in self._sockets]
        self._thread = threading.Thread(
            target=self._serve, args=(list(self._sockets.values()),), name="ops", daemon=True
        )
        self._thread.start()

    def _serve(self, sockets: list[socket.socket]) -> None:
        async def serve() -> None:
            await asyncio.gather(*(server.serve([sock]) for server, sock in zip(self._servers, sockets, strict=True)))

        with asyncio.Runner() as runner:
            runner.run(serve())

    def stop(self) -> None:
        for server in self._servers:
            server.end()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    async def _livez(self, request: Request) -> Response:
        if self._health.alive():
            return JSONResponse({"status": "alive"})
        return JSONResponse({"status": "stuck", "detail": "the main loop does not run"}, 503)

    async def _readyz(self, request: Request) -> Response:
        return readiness_response(*self._health.ready())

    async def _metrics(self, request: Request) -> Response:
        return metrics_response(self._registry, request)

    async def _index(self, request: Request) -> Response:
        ready, unready = self._health.ready()
        state = "ready" if ready else "; ".join(f"{name}: {reason}" for name, reason in unready.items())
        paths = [page.path for page in self._pages if "{" not in page.path and "GET" in (page.methods or ())]
        # What is below a directory is reached from its page, which says what it costs.
        directories = tuple(path for path in paths if path.endswith("/"))
        pages = [path.removeprefix("/") for path in paths if path in directories or not path.startswith(directories)]
        pages += ["metrics", "readyz", "livez"]
        return dashboard_page(self._title, state, pages, troubles=self._health.troubles())
