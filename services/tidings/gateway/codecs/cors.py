"""What lets a page of an allowed origin read the answers (Fetch Standard, CORS protocol). Pure.

The origin itself is judged elsewhere, before any of this is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PREFLIGHT_SECONDS: Final = 600
MAX_ASKED: Final = 50
"""Header names that a preflight may ask for; more are not answered for."""
ALWAYS: Final = ("Authorization", "If-None-Match", "Last-Event-ID")
"""What the endpoints read, whether or not a preflight asks for it."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_OF_PROXIES: Final = re.compile(r"(?:x-)?forwarded(?:-.*)?|x-real-ip|x-client-ip|via|host|cookie|(?:sec|proxy)-.*")
"""What proxies and browsers say of a client, and a page must not."""


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


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks what a page may ask for."""
    return method == "OPTIONS" and "access-control-request-method" in headers


def preflight_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields of the answer to a preflight request: any header may be sent that says nothing in a proxy's name."""
    return {
        **response_fields(headers),
        "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Allow-Headers": ", ".join((*ALWAYS, *_harmless(headers))),
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }


def _harmless(headers: Mapping[str, str]) -> list[str]:
    asked = headers.get("access-control-request-headers", "").lower().split(",", MAX_ASKED)[:MAX_ASKED]
    names = dict.fromkeys(name.strip(" \t") for name in asked)
    known = {name.lower() for name in ALWAYS}
    return [
        name for name in names if name not in known and _NAME.fullmatch(name) and _OF_PROXIES.fullmatch(name) is None
    ]
