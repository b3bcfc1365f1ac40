"""The JMAP session resource (RFC 8620 section 2), with the WebSocket capability (RFC 8887 section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from tidings.errors import RequestRejected
from tidings.gateway import cors
from tidings.gateway.jmap import CORE, MAX_CALLS, WEBSOCKET
from tidings.gateway.parked_eventsource import EVENTSOURCE_PATH
from tidings.gateway.parked_websocket import WEBSOCKET_PATH, session_state
from tidings.ops.auth import Gatekeeper, Identity, settled
from tidings.ops.problems import problem_response
from tidings.ops.requests import reached

_log = structlog.get_logger()
_NO_STORE: Final = {"Cache-Control": "no-store"}
_CORE_LIMITS: Final = {
    "maxSizeUpload": 0,
    "maxConcurrentUpload": 0,
    "maxConcurrentRequests": 1,
    "maxCallsInRequest": MAX_CALLS,
    "maxObjectsInGet": 0,
    "maxObjectsInSet": 0,
    "collationAlgorithms": [],
}


def session_resource(identity: Identity, base: str, credentials: Mapping[str, str], max_message: int) -> dict[str, Any]:
    """The session of an identity, its URLs below `base` (`http://host` or `https://host`).

    `credentials` go into the query of the URLs where a browser can set no header.
    """
    given = urlencode(credentials)
    query = f"?{given}" if given else ""
    more = f"&{given}" if given else ""
    scheme, _, authority = base.partition("://")
    return {
        "capabilities": {
            CORE: {**_CORE_LIMITS, "maxSizeRequest": max_message},
            WEBSOCKET: {
                "url": f"{'wss' if scheme == 'https' else 'ws'}://{authority}{WEBSOCKET_PATH}{query}",
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
        "eventSourceUrl": (f"{base}{EVENTSOURCE_PATH}?types={{types}}&closeafter={{closeafter}}&ping={{ping}}{more}"),
        "state": session_state(identity.accounts),
    }


def create_app(gatekeeper: Gatekeeper, public_url: str, max_message: int, fallback: ASGIApp | None) -> FastAPI:
    """What the public port serves beside parked connections; `fallback` gets every other path."""
    app = FastAPI(openapi_url=None)

    @app.exception_handler(RequestRejected)
    async def rejected(request: Request, error: RequestRejected) -> Response:
        reached(request.scope, f"rejected: {error.reason}")
        return problem_response(error.code, error.detail, {**_NO_STORE, **error.fields})

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        return problem_response(error.status_code, error.detail, {**_NO_STORE, **(error.headers or {})})

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        _log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
        return problem_response(500, "the gateway could not answer this", _NO_STORE)

    @app.get("/.well-known/jmap")
    async def session(request: Request) -> JSONResponse:
        headers = dict(request.headers)
        query = dict(request.query_params)
        identity = await settled(gatekeeper.admit("GET", headers, query, upgrade=False))
        reached(request.scope, "authenticated")
        credentials: dict[str, str] = {name: query[name] for name in ("account", "access_token") if name in query}
        _, _, bearer = headers.get("authorization", "").partition(" ")
        if bearer:
            credentials["access_token"] = bearer
        base = public_url.rstrip("/") or f"http://{headers.get('host', '')}"
        allowed = cors.response_fields(headers)
        return JSONResponse(
            session_resource(identity, base, credentials, max_message), headers={**_NO_STORE, **allowed}
        )

    if fallback is not None:
        app.mount("/", fallback)
    return app
