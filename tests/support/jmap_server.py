"""A small JMAP server: accounts with passwords, a session, an API that echoes, and faults as a test wants them."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.waiting import eventually

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
Answering = Callable[[Request], Awaitable[Response]]


def basic(user: str, password: str = "secret") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class JmapServer:
    """`requests` are all that came. `sessions` and `api` answer in place of the server's own where they are set."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.bodies: list[Any] = []
        self.members: dict[str, Any] = {}
        self.sessions: Answering | None = None
        self.api: Answering | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                # As Cyrus does.
                Route("/.well-known/jmap", self._discover),
                Route("/jmap/", self._session, methods=["GET"]),
                Route("/jmap/", self._answer, methods=["POST"]),
            ]
        )

    async def _discover(self, request: Request) -> Response:
        self.requests.append(request)
        return RedirectResponse("/jmap/", 301)

    async def _session(self, request: Request) -> Response:
        self.requests.append(request)
        if self.sessions is not None:
            return await self.sessions(request)
        user = self._user(request)
        if user is None:
            return Response("who are you?", 401, {"WWW-Authenticate": 'Basic realm="mail"'}, "text/plain")
        session = {
            "capabilities": {CORE: {"maxSizeRequest": 10_000_000, "maxConcurrentRequests": 8}, MAIL: {}},
            "accounts": {user: {"name": user}, "team": {"name": "team"}},
            "primaryAccounts": {MAIL: user},
            "username": user,
            "apiUrl": "/jmap/",
            "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?accept={type}",
            "uploadUrl": "/jmap/upload/{accountId}/",
            "eventSourceUrl": "/jmap/eventsource/",
            "state": "their-state",
            **self.members,
        }
        answer = JSONResponse(session)
        answer.set_cookie("of", user)
        return answer

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        asked = json.loads(await request.body())
        self.bodies.append(asked)
        if self.api is not None:
            return await self.api(request)
        if self._user(request) is None:
            return Response(status_code=401)
        return JSONResponse({"methodResponses": asked["methodCalls"], "sessionState": "their-state"})

    @staticmethod
    def _user(request: Request) -> str | None:
        shown = request.headers.get("authorization", "")
        return next((user for user in ("alice", "bob") if shown == basic(user)), None)


@asynccontextmanager
async def jmap_server(certificate: str | None = None) -> AsyncIterator[JmapServer]:
    """One on a free port, over TLS where there is a certificate."""
    server = JmapServer()
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    config = uvicorn.Config(server.app(), log_config=None, lifespan="off", ssl_certfile=certificate, ws="none")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running._serve([listener]))
    try:
        await eventually(lambda: running.started)
        yield server
    finally:
        running.should_exit = running.force_exit = True
        await task
        listener.close()
