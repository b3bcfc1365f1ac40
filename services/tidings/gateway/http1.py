"""HTTP/1.1 heads (RFC 9112): strict reading, plain writing. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from tidings.errors import RequestRejected

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_FIELDS: Final = 100
MAX_QUERY_FIELDS: Final = 50

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_TARGET = re.compile(r"(?:(?i:https?)://([^/?#]*))?(/[^?#]*|\*)?(?:\?([^#]*))?")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-fv:.]+\])(?::[0-9]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x09\x20-\x7e\x80-\xff]*)")
_SINGLETONS = frozenset(
    {
        "host",
        "origin",
        "authorization",
        "content-length",
        "content-type",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-fetch-site",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request head. Header names are lower case; repeated fields are joined as RFC 9110 section 5.3 says."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    version: tuple[int, int]
    size: int
    """Bytes of the head, blank line included."""

    def elements(self, name: str) -> list[str]:
        """The elements of a header that is a comma-separated list; empty ones count for nothing."""
        elements = (element.strip(" \t") for element in self.headers.get(name, "").split(","))
        return [element for element in elements if element]

    def tokens(self, name: str) -> list[str]:
        """The elements of a list of tokens that mean the same in any case, lower case."""
        return [element.lower() for element in self.elements(name)]


def _malformed(detail: str) -> RequestRejected:
    return RequestRejected(400, "malformed_head", detail)


def parse_request(data: bytes | bytearray, max_bytes: int = MAX_HEAD_BYTES) -> Request | None:
    """Read a request head from the start of `data`, an empty line before it or not; None while it is incomplete.

    Raises RequestRejected with 400 for what is not HTTP/1.x, 431 for a head over `max_bytes`, 505.
    """
    start = 2 if data[:2] == b"\r\n" else 0
    end = data.find(b"\r\n\r\n", start)
    if end < 0 or end > max_bytes - 4:
        if len(data) > max_bytes or end >= 0:
            raise RequestRejected(431, "head_too_large", f"the head exceeds {max_bytes} bytes")
        _reject_early(data, start)
        return None
    lines = bytes(data[start:end]).split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise _malformed("the request line is malformed")
    version = (int(match[3]), int(match[4]))
    if version[0] != 1:
        raise RequestRejected(505, "http_version", "only HTTP/1.x is spoken here")
    headers = _fields(lines[1:])
    if "host" not in headers and version >= (1, 1):
        raise _malformed("Host is missing")
    path, query = _target(match[2].decode("ascii"), headers)
    return Request(match[1].decode("ascii"), path, _query(query), headers, version, end + 4)


def _reject_early(data: bytes | bytearray, start: int) -> None:
    """Answer what can never become a head at once instead of at the deadline."""
    line, newline, _ = bytes(data[start:MAX_HEAD_BYTES]).partition(b"\n")
    if newline and not (line.endswith(b"\r") and _REQUEST_LINE.fullmatch(line[:-1])):
        raise _malformed("the request line is malformed")


def _target(target: str, headers: dict[str, str]) -> tuple[str, str]:
    """Path and query of a request target. The authority of an absolute one replaces Host (RFC 9112 section 3.2.2)."""
    match = _TARGET.fullmatch(target)
    if match is None or (match[1] is None and match[2] is None):
        raise _malformed("the request target is malformed")
    for host in (headers.get("host"), match[1]):
        if host is not None and _HOST.fullmatch(host) is None:
            raise _malformed("Host is malformed")
    if match[1] is not None:
        headers["host"] = match[1]
    return match[2] or "/", match[3] or ""


def _fields(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_FIELDS:
        raise RequestRejected(431, "head_too_large", f"the head has more than {MAX_FIELDS} fields")
    headers: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise _malformed("a header field is malformed")
        name = match[1].decode("ascii").lower()
        value = match[2].decode("latin-1").strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in _SINGLETONS:
            raise _malformed(f"{name} is given twice")
        else:
            headers[name] += ("; " if name == "cookie" else ", ") + value
    return headers


def _query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise _malformed("the query string is malformed") from None
    return dict(pairs)


def read_seconds(text: str) -> int | None:
    """A whole number of seconds from a query; None for anything else, and for more than anybody waits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def check_get(request: Request) -> None:
    """Check that a request is a plain GET. Raises RequestRejected with 405 or 400."""
    if request.method != "GET":
        raise RequestRejected(405, "bad_method", "this is read with GET")
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise RequestRejected(400, "unexpected_body", "a GET has no body here")


def head(status: int, fields: Mapping[str, str]) -> bytes:
    """The head of a response whose body, if it has one, ends with its connection."""
    # RFC 9110 section 7.8: Upgrade is named in Connection, or it is not passed on.
    connection = "close, Upgrade" if "Upgrade" in fields else "close"
    fields = {**fields, "Cache-Control": "no-store", "Connection": connection}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1")


def response(status: int, body: bytes = b"", fields: Mapping[str, str] | None = None) -> bytes:
    """A whole response that ends its connection."""
    # RFC 9110 section 8.6: none in a 204; in a 304 it would be the length of the 200 that is not sent.
    length = {} if status in (204, 304) else {"Content-Length": str(len(body))}
    return head(status, {**(fields or {}), **length}) + body


def rejection(error: RequestRejected, fields: Mapping[str, str] | None = None) -> bytes:
    """The response to a rejected request, as RFC 9457 problem details."""
    title = HTTPStatus(error.code).phrase
    detail = error.detail.replace("\\", "\\\\").replace('"', '\\"')
    body = f'{{"type":"about:blank","title":"{title}","status":{error.code},"detail":"{detail}"}}'
    headers = {"Content-Type": "application/problem+json", **(fields or {}), **error.fields}
    if error.code == 405:
        headers["Allow"] = "GET"
    if error.code == 426:
        headers |= {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"}
    return response(error.code, body.encode(), headers)
