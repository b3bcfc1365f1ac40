"""What lets a page of an allowed origin read the answers (Fetch Standard, CORS protocol). Pure.

The origin itself is judged elsewhere, before any of this is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PREFLIGHT_SECONDS: Final = 600


def response_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields of an answer to a request with these headers, lower case; none when it names no Origin."""
    origin = headers.get("origin")
    if origin is None:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "ETag, Retry-After",
        "Vary": "Origin",
    }


def preflight_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields of the answer to a preflight request."""
    return {
        **response_fields(headers),
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "Authorization, If-None-Match, Last-Event-ID",
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
