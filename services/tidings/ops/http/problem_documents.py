"""What problem documents say (RFC 9457), whoever writes them. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

PROBLEM_TYPE: Final = "application/problem+json"


def problem_document(status: int, detail: str, **members: object) -> dict[str, object]:
    """An error of this HTTP status as a document; `members` are those of its own, values for JSON."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
