"""The ingest application: whoever is admitted, its body read within bounds, its changes submitted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from asyncio_pprof.traces import Life, life_of, reached
from tidings.errors import EventError, Problem, RequestRejected
from tidings.ops.http.bodies import BODY_SECONDS, read_body
from tidings.ops.http.credentials import joined
from tidings.ops.printable import plain
from tidings.publisher.accounts import AccountMap
from tidings.publisher.ingest import problems
from tidings.publisher.ingest.access import IngestAccess
from tidings.publisher.ingest.openapi import DescribedRoute, described_app
from tidings.publisher.ingest.routes import ROUTES, Route
from tidings.publisher.metrics import PublisherMetrics
from tidings.wire import tracecontext
from tidings.wire.change import Change, is_far

MAX_BODY_BYTES: Final = 1024 * 1024

PROBLEMS_SHOWN: Final = 100
KNATIVE_PREFER: Final = "reply"
"""Who prefers a reply takes any body of an answer for one: Knative delivers again what is answered by other than an
event or nothing (Knative's data plane specification, "Derived (Reply) Events").
"""

Submit = Callable[[Sequence[Change], Life | None], Awaitable[None]]

_log = structlog.get_logger()


def create_app(
    submit: Submit,
    access: IngestAccess,
    metrics: PublisherMetrics,
    accounts: AccountMap,
    unmapped: Callable[[int], None],
    routes: Sequence[Route] = ROUTES,
    body_seconds: float = BODY_SECONDS,
    *,
    traced: bool = False,
) -> FastAPI:
    """The application. `submit` returns when the changes are safe, and raises LogError when they are not.

    Where changes are `traced`, what comes without a trace of its own is part of the request's, if that is sampled.

    `unmapped` hears of how many changes had a login without an account.
    """
    routed: list[BaseRoute] = [
        DescribedRoute(route, _Endpoint(route, submit, access, metrics, accounts, unmapped, body_seconds, traced))
        for route in routes
    ]
    accounting = Middleware(_Accounting, metrics=metrics, faults={route.path: route.fault for route in routes})
    return described_app(
        routed,
        redirect_slashes=False,
        middleware=[accounting],
        exception_handlers=problems.HANDLERS,
    )


class _Endpoint:
    """What is done about a request to one path.

    An ASGI application and no function of FastAPI's: that spent as much on a request of one change as all of the rest.
    """

    def __init__(
        self,
        route: Route,
        submit: Submit,
        access: IngestAccess,
        metrics: PublisherMetrics,
        accounts: AccountMap,
        unmapped: Callable[[int], None],
        body_seconds: float,
        traced: bool,
    ) -> None:
        self._traced = traced
        self._route = route
        self._submit = submit
        self._access = access
        self._metrics = metrics
        self._accounts = accounts
        self._unmapped = unmapped
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Decoded once: a look into starlette's headers costs as much as that.
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers = joined(fields)
        accepted = await self._take(Request(scope, receive), fields, headers)
        if headers.get("prefer", "").lower() == KNATIVE_PREFER:
            answer = Response(status_code=202)
        else:
            answer = Response(b'{"accepted":%d}' % accepted, 202, media_type="application/json")
        await answer(scope, receive, send)

    async def _take(self, request: Request, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> int:
        """How many changes of a request are safe."""
        route, scope = self._route, request.scope
        try:
            if not route.signed:
                self._access.admit(headers)
                reached(scope, "authenticated")
            changes = await self._read_changes(request, fields)
            if self._traced:
                changes = _continued(changes, headers)
        except RequestRejected as error:
            self._access.refusals.refused(error.reason)
            raise
        found = self._accounts.mapped(changes)
        if len(found) < len(changes):
            self._unmapped(len(changes) - len(found))
            if route.names is not None:
                raise _unmapped(changes, self._accounts, route.names)
        self._metrics.far_times += sum(map(is_far, found))
        reached(scope, "validated, waits for its batch")
        await self._submit(found, life_of(scope))
        route.taken(found)
        return len(found)

    async def _read_changes(self, request: Request, fields: Sequence[tuple[str, str]]) -> list[Change]:
        """What a request tells. Its body is gone before it waits for anything: what waits is counted without it."""
        ingested = time.time()
        body = await read_body(request, MAX_BODY_BYTES, EventError, self._body_seconds)
        reached(request.scope, "body")
        return self._route.parse(fields, body, ingested)


def _unmapped(changes: Sequence[Change], accounts: AccountMap, names: str) -> EventError:
    """Names the changes whose logins have no account."""
    without = [index for index, change in enumerate(changes) if accounts.rules.account_of(change.account) is None]
    said = tuple(Problem(index, names, "has no account in --account-map") for index in without[:PROBLEMS_SHOWN])
    return EventError(422, "no event was taken: see problems", said)


def _continued(changes: Sequence[Change], headers: Mapping[str, str]) -> list[Change]:
    """The changes as parts of their request's trace, where they have no other; log lines have the first one's id.

    Each request is a task of its own, so no other's lines do.
    """
    context = tracecontext.read(headers.get(tracecontext.ATTRIBUTE))
    found = [
        change if tracecontext.context_of(change) is not None else tracecontext.traced(change, context)
        for change in changes
    ]
    trace_id = tracecontext.first_trace(found)
    if trace_id is not None:
        bind_contextvars(trace_id=trace_id)
    return found


class _Accounting:
    """Counts answers by status, and turns a fault of ours into a status that is logged once and tells nothing.

    `faults` is that status for each path.
    """

    def __init__(self, app: ASGIApp, metrics: PublisherMetrics, faults: Mapping[str, int]) -> None:
        self._app = app
        self._metrics = metrics
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.requests[str(status)] += 1
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one request
            self._metrics.failures.labels("ingest").inc()
            _log.exception("request failed", method=scope["method"], path=plain(scope["path"]), error=repr(error))
            if not status:
                failed = self._faults.get(scope["path"], 500)
                await problems.answer(failed, "the publisher failed; its log says why")(scope, receive, sending)
