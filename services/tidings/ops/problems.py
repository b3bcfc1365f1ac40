"""Errors as HTTP answers: application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> Response:
    """An error as a problem document; `members` are those of its own, values for JSON."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(json.dumps(document), status, headers, "application/problem+json")
