"""Passes requests of parked WebSockets on to the JMAP server, with what each client showed when it connected.

What it showed is kept for as long as the connection is there, since RFC 8887 has a client authenticate once. The
server judges it anew with every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog

from tidings.auth.push_tokens import PushTokens
from tidings.errors import RequestRejected, UpstreamFault
from tidings.gateway.codecs import jmap, websocket
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.codecs.jmap_requests import answer_message, failure
from tidings.gateway.codecs.jmap_session import MAX_AT_ONCE
from tidings.gateway.codecs.websocket import Opcode
from tidings.gateway.limits.address import Network, forwarded_for
from tidings.gateway.model.connection import Connection
from tidings.gateway.net.reactor import Reactor
from tidings.gateway.upstream.http import Caller, credential

if TYPE_CHECKING:
    from tidings.gateway.upstream.server import Upstream

CALLER_BYTES: Final = 2_048
"""What is kept of a client takes, beside what it showed."""
RETRY_SECONDS: Final = 5

_log = structlog.get_logger()


@dataclass(slots=True)
class _Asking:
    """A client that may ask: as whom, where, and what it waits for. `writable` is set while it takes answers."""

    caller: Caller
    api_path: str
    size: int
    writable: asyncio.Event
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Proxying:
    """Everything that is asked and not answered yet, by connection."""

    def __init__(self, upstream: Upstream, tokens: PushTokens, reactor: Reactor, trusted: Sequence[Network]) -> None:
        self._upstream = upstream
        self._tokens = tokens
        self._reactor = reactor
        self._trusted = trusted
        self._asking: dict[Connection, _Asking] = {}

    def open(self, connection: Connection, request: Request) -> None:
        """Keep what the client of an upgrade showed. Raises RequestRejected (503) where there is no room for it."""
        authorization = credential(request.headers)
        token = self._tokens.read(request.query.get("access_token", ""))
        if not authorization or token is None or not token.api:
            return
        size = CALLER_BYTES + len(authorization) + len(token.api)
        if not self._upstream.held.take(size):
            raise RequestRejected(503, "full", "this gateway has no room for more requests", RETRY_SECONDS)
        forwarded = forwarded_for(self._reactor.peer(connection), request.headers, self._trusted)
        writable = asyncio.Event()
        writable.set()
        self._asking[connection] = _Asking(Caller(authorization, forwarded), token.api, size, writable)

    def ask(self, connection: Connection, request: jmap.ApiRequest) -> jmap.Reply | None:
        """Pass a request on; what to answer at once, where it is not."""
        asking = self._asking.get(connection)
        if asking is None:
            detail = "to send requests, open the WebSocket with Authorization, at the URL of the session"
            return _refusal(HTTPStatus.UNAUTHORIZED, detail, request)
        if len(asking.tasks) >= MAX_AT_ONCE:
            detail = f"at most {MAX_AT_ONCE} requests at once"
            return jmap.request_error("limit", detail, request.id, limit="maxConcurrentRequests")
        if not self._upstream.held.take(len(request.body)):
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway has no room for more requests", request)
        task = asyncio.create_task(self._pass_on(connection, asking, request), name="pass a request on")
        asking.tasks.add(task)
        task.add_done_callback(lambda task: self._done(asking, task, len(request.body)))
        return None

    def _done(self, asking: _Asking, task: asyncio.Task[None], size: int) -> None:
        asking.tasks.discard(task)
        self._upstream.held.give(size)

    async def _pass_on(self, connection: Connection, asking: _Asking, request: jmap.ApiRequest) -> None:
        try:
            async with self._upstream.request(asking.caller, asking.api_path, request.body) as answer:
                await self._tell(connection, asking, answer_message(answer.status, answer.body, request.id))
        except UpstreamFault as error:
            await self._tell(connection, asking, failure(error.code, error.detail, request.id))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one request
            _log.exception("request not passed on to the JMAP server", error=repr(error))
            detail = "the gateway could not pass the request on; its log says why"
            await self._tell(connection, asking, failure(HTTPStatus.INTERNAL_SERVER_ERROR, detail, request.id))

    async def _tell(self, connection: Connection, asking: _Asking, payload: bytes) -> None:
        """Send an answer once the client has taken what was written to it before: answers may be large."""
        while self._reactor.is_blocked(connection):
            asking.writable.clear()
            await asking.writable.wait()
        self._reactor.send((connection,), websocket.frame(Opcode.TEXT, payload))

    def unblocked(self, connection: Connection) -> None:
        """A client takes answers again."""
        asking = self._asking.get(connection)
        if asking is not None:
            asking.writable.set()

    def forget(self, connection: Connection) -> None:
        """Drop everything of a connection that is gone."""
        asking = self._asking.pop(connection, None)
        if asking is not None:
            self._upstream.held.give(asking.size)
            for task in asking.tasks:
                task.cancel()


def _refusal(status: HTTPStatus, detail: str, request: jmap.ApiRequest) -> jmap.Reply:
    return jmap.Reply(failure(status, detail, request.id), failed=True)
