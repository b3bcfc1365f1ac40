"""What went wrong with a request, as problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from asyncio_pprof.traces import reached
from tidings.errors import MailboxError, Overloaded, RequestRejected, StorageFault
from tidings.ops.http.bodies import UNREAD
from tidings.ops.http.problems import problem_response

RETRY_SECONDS: Final = "1"
NO_STORE: Final = {"Cache-Control": "no-store"}


async def problem(request: Request, error: Exception) -> Response:
    """Answer for an error. What is none of the client's doing says nothing of itself; Starlette has it logged."""
    match error:
        case RequestRejected():
            reached(request.scope, f"rejected: {error.reason}")
            unread = {"Connection": "close"} if error.code in UNREAD else {}
            return _answer(error.code, error.detail, {**error.fields, **unread})
        case Overloaded():
            return _answer(503, str(error), {"Retry-After": RETRY_SECONDS})
        case StorageFault():
            return _answer(error.code, str(error), {})
        case MailboxError():
            return _answer(404, str(error), {})
        case HTTPException():
            return _answer(error.status_code, error.detail, error.headers or {})
        case _:
            return _answer(500, "the webmail failed; its log says why", {})


def _answer(status: int, detail: str, headers: Mapping[str, str]) -> Response:
    return problem_response(status, detail, {**NO_STORE, **headers})
