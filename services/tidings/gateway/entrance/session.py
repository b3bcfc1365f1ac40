"""The JMAP session resource (RFC 8620 section 2), with the WebSocket capability (RFC 8887 section 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, ExceptionHandler

from asyncio_pprof.traces import reached
from tidings.auth.gatekeeper import Gatekeeper, settled
from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.gateway.codecs.groups import Groups
from tidings.gateway.codecs.jmap import CORE, EVENTSOURCE_PATH, MAX_CALLS, WEBSOCKET, session_state, websocket_url
from tidings.gateway.entrance import reference
from tidings.gateway.entrance.seen import seen
from tidings.gateway.limits.address import Network
from tidings.ops.http.credentials import joined
from tidings.ops.http.problems import problem_response
from tidings.ops.printable import plain

_log = structlog.get_logger()
NO_STORE: Final = {"Cache-Control": "no-store"}
_CORE_LIMITS: Final = {
    "maxSizeUpload": 0,
    "maxConcurrentUpload": 0,
    "maxConcurrentRequests": 1,
    "maxCallsInRequest": MAX_CALLS,
    "maxObjectsInGet": 0,
    "maxObjectsInSet": 0,
    "collationAlgorithms": [],
}


def session_resource(
    identity: Identity, base: str, pushing: str, credentials: Mapping[str, str], max_message: int
) -> dict[str, Any]:
    """The session of an identity, its URLs below `base` (`http://host` or `https://host`), push URLs below `pushing`.

    `credentials` go into the query of the URLs where a browser can set no header.
    """
    given = urlencode(credentials)
    query = f"?{given}" if given else ""
    more = f"&{given}" if given else ""
    return {
        "capabilities": {
            CORE: {**_CORE_LIMITS, "maxSizeRequest": max_message},
            WEBSOCKET: {
                "url": f"{websocket_url(pushing)}{query}",
                "supportsPush": True,
            },
        },
        "accounts": {
            account: {
                "name": account,
                "isPersonal": index == 0,
                "isReadOnly": True,
                "accountCapabilities": {},
            }
            for index, account in enumerate(identity.accounts)
        },
        "primaryAccounts": {CORE: identity.accounts[0]},
        "username": identity.username,
        "apiUrl": f"{base}/jmap/api",
        "downloadUrl": f"{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?type={{type}}",
        "uploadUrl": f"{base}/jmap/upload/{{accountId}}",
        "eventSourceUrl": (
            f"{pushing}{EVENTSOURCE_PATH}?types={{types}}&closeafter={{closeafter}}&ping={{ping}}{more}"
        ),
        "state": session_state(identity.accounts),
    }


Sessions = Callable[[Request], Awaitable[Response]]
"""Answers who asks for the session resource. Raises RequestRejected."""


def base_url(public_url: str, headers: Mapping[str, str]) -> str:
    """Where a client has asked: what is set, or else the Host of its request."""
    return public_url.rstrip("/") or f"http://{headers.get('host', '')}"


def own_sessions(gatekeeper: Gatekeeper, public_url: str, groups: Groups, max_message: int) -> Sessions:
    """The session of a server that only pushes."""

    async def session(request: Request) -> Response:
        headers = joined(request.headers.items())
        query = dict(request.query_params)
        identity = await settled(gatekeeper.admit("GET", headers, query, upgrade=False))
        reached(request.scope, "authenticated")
        credentials = gatekeeper.url_credentials(headers, query)
        base = base_url(public_url, headers)
        pushing = groups.base(base, identity.accounts[0])
        found = session_resource(identity, base, pushing, credentials, max_message)
        return JSONResponse(found, headers=NO_STORE)

    return session


def create_app(
    gatekeeper: Gatekeeper, sessions: Sessions, trusted: Sequence[Network], fallback: ASGIApp | None
) -> Starlette:
    """What the public port serves beside parked connections; `fallback` gets every other path.

    Who checks the way here is told what came of it through proxies that are `trusted`.
    """

    async def rejected(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestRejected)  # noqa: S101 - what it is registered for
        gatekeeper.refusals.refused(error.reason)
        reached(request.scope, f"rejected: {error.reason}")
        return problem_response(error.code, error.detail, {**NO_STORE, **error.fields})

    async def not_served(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        return problem_response(error.status_code, error.detail, {**NO_STORE, **(error.headers or {})})

    async def failed(request: Request, error: Exception) -> Response:
        _log.error("request failed", method=request.method, path=plain(request.url.path), exc_info=error)
        return problem_response(500, "the gateway failed; its log says why", NO_STORE)

    async def session(request: Request) -> Response:
        answer = await sessions(request)
        answer.headers.update(seen(request, trusted))
        return answer

    routes: list[BaseRoute] = [Route(path, session) for path in ("/.well-known/jmap", "/.well-known/jmap/")]
    routes.extend(reference.routes())
    if fallback is not None:
        routes.append(Mount("/", fallback))
    handlers: dict[Any, ExceptionHandler] = {
        RequestRejected: rejected,
        HTTPException: not_served,
        Exception: failed,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app
