"""ASGI middleware: a page of an allowed origin may read what is answered below our own paths, errors too."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.auth.gatekeeper import Gatekeeper
from tidings.errors import RequestRejected
from tidings.gateway.codecs import cors
from tidings.ops.http.problems import problem_response

PATHS: Final = ("/.well-known/jmap", "/jmap/")
"""What these begin is for pages of others. The webmail, which shows mail, is not."""


class CrossOrigin:
    """Answers preflight requests, and lets pages of allowed origins read the answers of an application."""

    def __init__(self, app: ASGIApp, gatekeeper: Gatekeeper) -> None:
        self._app = app
        self._gatekeeper = gatekeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(Headers(scope=scope)) if scope["type"] == "http" else {}
        if "origin" not in headers or not scope["path"].startswith(PATHS):
            await self._app(scope, receive, send)
            return
        fields = cors.response_fields(headers) if self._gatekeeper.may_read(headers) else {}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(fields)
            await send(message)

        if cors.is_preflight(scope["method"], headers):
            await self._preflight(headers)(scope, receive, send)
        else:
            await self._app(scope, receive, sending)

    def _preflight(self, headers: dict[str, str]) -> Response:
        try:
            self._gatekeeper.admit_origin("GET", headers)
        except RequestRejected as error:
            return problem_response(error.code, error.detail, {"Cache-Control": "no-store", **error.fields})
        return Response(status_code=204, headers=cors.preflight_fields(headers))
