"""The ingest application: POST /v1/changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.errors import EventError
from tidings.ops.requests import Life, life_of, reached
from tidings.publisher import problems
from tidings.publisher.access import IngestAccess
from tidings.publisher.metrics import PublisherMetrics
from tidings.wire import cloudevents
from tidings.wire.change import Change

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0
"""How long a request's body may take to arrive."""

Submit = Callable[[Sequence[Change], Life | None], Awaitable[None]]

_log = structlog.get_logger()


def create_app(
    submit: Submit, access: IngestAccess, metrics: PublisherMetrics, body_seconds: float = BODY_SECONDS
) -> FastAPI:
    """The application. `submit` returns when the changes are safe, and raises LogError when they are not."""
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, exception_handlers=problems.HANDLERS
    )
    app.add_middleware(_Accounting, metrics=metrics)

    @app.post("/v1/changes", status_code=202)
    async def take_changes(request: Request) -> Response:
        access.admit(request.headers)
        reached(request.scope, "authenticated")
        ingested = time.time()
        body = await _read_body(request, body_seconds)
        reached(request.scope, "body")
        changes = cloudevents.parse(request.headers.items(), body, ingested)
        reached(request.scope, "validated, waits for its batch")
        await submit(changes, life_of(request.scope))
        return JSONResponse({"accepted": len(changes)}, 202)

    return app


async def _read_body(request: Request, seconds: float) -> bytes:
    """The body, or EventError: 413 when it is too long, said before reading on, and 408 when it is too slow."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_long()
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _too_long()
    except TimeoutError:
        raise EventError(408, f"the body did not arrive within {seconds:g} s") from None
    return bytes(body)


def _too_long() -> EventError:
    return EventError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")


class _Accounting:
    """Counts answers by status, and turns a fault of ours into a 500 that is logged once and tells nothing."""

    def __init__(self, app: ASGIApp, metrics: PublisherMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.requests.labels(status).inc()
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one request
            self._metrics.failures.labels("ingest").inc()
            _log.exception("request failed", method=scope["method"], path=scope["path"], error=repr(error))
            if not status:
                await problems.answer(500, "the publisher failed; its log says why")(scope, receive, sending)
