"""What went wrong with a request, as problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidings.errors import MailboxError, Overloaded, RequestRejected
from tidings.ops.requests import reached

RETRY_SECONDS: Final = "1"
NO_STORE: Final = {"Cache-Control": "no-store"}


async def problem(request: Request, error: Exception) -> Response:
    """Answer for an error. What is none of the client's doing says nothing of itself; Starlette has it logged."""
    match error:
        case RequestRejected():
            reached(request.scope, f"rejected: {error.reason}")
            return _problem(error.code, error.detail, error.fields)
        case Overloaded():
            return _problem(503, str(error), {"Retry-After": RETRY_SECONDS})
        case MailboxError():
            return _problem(404, str(error), {})
        case HTTPException():
            return _problem(error.status_code, error.detail, error.headers or {})
        case _:
            return _problem(500, "something went wrong here; it has been logged", {})


def _problem(status: int, detail: str, headers: Mapping[str, str]) -> Response:
    body = {"type": "about:blank", "status": status, "detail": detail}
    return JSONResponse(body, status, {**NO_STORE, **headers}, "application/problem+json")
