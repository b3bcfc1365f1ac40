"""Errors as HTTP answers: application/problem+json (RFC 9457), for every status and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from asyncio_pprof.traces import reached
from tidings.errors import EventError, LogError, Problem, RequestRejected
from tidings.ops.http.bodies import UNREAD
from tidings.ops.http.problems import problem_response
from tidings.publisher.ingest.access import CHALLENGE

RETRY_AFTER_SECONDS: Final = 1

ExceptionHandler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def answer(
    status: int, detail: str, problems: Sequence[Problem] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem document. `problems` says what is wrong in which event, for requests that were read.

    A 503 says when to come again: some senders do only then.
    """
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    return problem_response(
        status, detail, {**again, **(headers or {})}, problems=[asdict(problem) for problem in problems]
    )


async def _event_error(_: Request, error: EventError) -> Response:
    # What is left of a body that is too long or too slow is not waited for.
    unread = {"Connection": "close"} if error.status in UNREAD else None
    return answer(error.status, error.detail, error.problems, unread)


async def _rejected(request: Request, error: RequestRejected) -> Response:
    reached(request.scope, f"rejected: {error.reason}")
    return answer(error.code, error.detail, (), {"WWW-Authenticate": CHALLENGE} if error.code == 401 else None)


async def _log_error(request: Request, error: LogError) -> Response:
    reached(request.scope, f"not stored: {error}")
    return answer(503, f"not stored: {error}")


async def _http_error(_: Request, error: HTTPException) -> Response:
    return answer(error.status_code, error.detail, (), error.headers)


async def _disconnected(_: Request, error: ClientDisconnect) -> Response:
    return answer(400, "the body ended early")


HANDLERS: Final[dict[int | type[Exception], ExceptionHandler]] = {
    EventError: _event_error,
    RequestRejected: _rejected,
    LogError: _log_error,
    HTTPException: _http_error,
    ClientDisconnect: _disconnected,
}
