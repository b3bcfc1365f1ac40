"""The admin and probe listeners, in a thread with a loop of its own: they answer when the main loop is stuck."""

from __future__ import annotations

import asyncio
import html
import socket
import threading
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tidings.errors import SettingsError
from tidings.ops.health import Health
from tidings.ops.listener import QuietServer, bind

ADMIN_HOST: Final = "127.0.0.1"
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
MAX_REQUESTS: Final = 64
STOP_SECONDS: Final = 2.0

_log = structlog.get_logger()


class OpsListeners:
    """Two small HTTP servers: everything on loopback (admin); probes and metrics on any address (probe)."""

    def __init__(
        self,
        title: str,
        admin_port: int,
        probe_host: str,
        probe_port: int,
        registry: CollectorRegistry,
        health: Health,
    ) -> None:
        self._title = title
        self._addresses = (("admin", ADMIN_HOST, admin_port), ("probe", probe_host, probe_port))
        self._registry = registry
        self._health = health
        self.ports: dict[str, int] = {}
        self._servers: list[QuietServer] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind both and serve; `ports` has those bound. Raises SettingsError when an address cannot be had."""
        common = [
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        guard = Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES), www_redirect=False)
        apps = {
            "admin": Starlette(routes=[Route("/", self._index), *common], middleware=[guard]),
            "probe": Starlette(routes=common),
        }
        sockets: list[socket.socket] = []
        try:
            for _, host, port in self._addresses:
                sockets.append(bind(host, port))
        except SettingsError:
            for sock in sockets:
                sock.close()
            raise
        for (name, host, _), sock in zip(self._addresses, sockets, strict=True):
            self._servers.append(QuietServer(apps[name], limit_concurrency=MAX_REQUESTS))
            sock.listen()
            self.ports[name] = sock.getsockname()[1]
            _log.info("listening", service=name, host=host, port=self.ports[name])
        self._thread = threading.Thread(target=self._serve, args=(sockets,), name="ops", daemon=True)
        self._thread.start()

    def _serve(self, sockets: list[socket.socket]) -> None:
        async def serve() -> None:
            await asyncio.gather(*(server.serve([sock]) for server, sock in zip(self._servers, sockets, strict=True)))

        with asyncio.Runner() as runner:
            runner.run(serve())

    def stop(self) -> None:
        """Close both."""
        for server in self._servers:
            server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    async def _livez(self, request: Request) -> Response:
        if self._health.alive():
            return JSONResponse({"status": "alive"})
        return JSONResponse({"status": "stuck", "detail": "the main loop does not run"}, 503)

    async def _readyz(self, request: Request) -> Response:
        ready, unready = self._health.ready()
        return JSONResponse({"status": "ready" if ready else "unready", "unready": unready}, 200 if ready else 503)

    async def _metrics(self, request: Request) -> Response:
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(self._registry), headers={"Content-Type": content_type})

    async def _index(self, request: Request) -> Response:
        ready, unready = self._health.ready()
        state = "ready" if ready else "; ".join(f"{name}: {reason}" for name, reason in unready.items())
        links = "".join(f'<li><a href="{path}">{path}</a>' for path in ("/metrics", "/readyz", "/livez"))
        title = html.escape(self._title)
        return HTMLResponse(
            f"<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content='light dark'>"
            f"<title>{title}</title><h1>{title}</h1><p>{html.escape(state)}<ul>{links}</ul>",
            headers={"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"},
        )
