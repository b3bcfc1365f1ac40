"""Requests over the WebSocket (RFC 8887 section 4.3.2) and what an API answers over HTTP (RFC 8620 section 3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

MAX_DETAIL: Final = 2_000
"""Bytes of an API's own error that are repeated."""

_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_OWN: Final = frozenset({"@type", "id"})


def request_body(members: Mapping[str, msgspec.Raw]) -> bytes:
    """A Request as an API takes it over HTTP: what it is called over the WebSocket is left out."""
    return _encode({name: value for name, value in members.items() if name not in _OWN})


def answer_message(status: int, body: bytes, request_id: str | None) -> bytes:
    """What a client of the WebSocket is told of an API's answer: a Response, or a RequestError."""
    try:
        members = _raw(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        members = None
    if status == HTTPStatus.OK:
        if members is None or "methodResponses" not in members:
            return failure(HTTPStatus.BAD_GATEWAY, "the JMAP server's answer is not a Response", request_id)
        return _encode({**members, **_own("Response", request_id)})
    if members is None or "type" not in members or len(body) > MAX_DETAIL:
        return failure(status, f"the JMAP server answers {status}", request_id)
    return _encode({"status": status, **members, **_own("RequestError", request_id)})


def failure(status: int, detail: str, request_id: str | None) -> bytes:
    """A RequestError for what JMAP has no type for: the status says what it is (RFC 9457 section 4.2.1)."""
    error = {"type": "about:blank", "status": int(status), "detail": detail}
    return _encode({**error, **_own("RequestError", request_id)})


def _own(kind: str, request_id: str | None) -> dict[str, str]:
    return {"@type": kind} if request_id is None else {"@type": kind, "requestId": request_id}
