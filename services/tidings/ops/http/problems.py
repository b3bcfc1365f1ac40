"""Errors as HTTP answers: application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response

from tidings.ops.http.problem_documents import PROBLEM_TYPE, problem_document


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> Response:
    """An error as a problem document; `members` are those of its own, values for JSON."""
    return Response(json.dumps(problem_document(status, detail, **members)), status, headers, PROBLEM_TYPE)
