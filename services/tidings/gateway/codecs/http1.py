"""HTTP/1.1 heads (RFC 9112): strict reading, plain writing. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from tidings.errors import RequestRejected
from tidings.ops.http.heads import SINGLETONS, check_version, given_twice, malformed, read_target
from tidings.ops.http.problem_documents import PROBLEM_TYPE, problem_document

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_FIELDS: Final = 100
MAX_QUERY_FIELDS: Final = 50
_BLANK_LINE: Final = b"\r\n\r\n"
READING: Final = frozenset({"GET", "HEAD"})
NOT_STORED: Final = "no-store, no-transform"
"""A proxy that compresses holds events back until it has enough of them (RFC 9111 section 5.2.2.6)."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
# All fields at once, each behind its line break; what has matched is kept (++, *+). The white space around a value is
# taken off afterwards: two parts that both match it take quadratic time.
_FIELDS = re.compile(rb"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\x09\x20-\x7e\x80-\xff]*+)*+")


class Request(NamedTuple):
    """A request head. Header names are lower case; repeated fields are joined as RFC 9110 section 5.3 says."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    version: tuple[int, int]
    size: int
    """Bytes of the head, blank line included; for a GET also those of a chunked body that is empty."""

    def elements(self, name: str) -> list[str]:
        """The elements of a header that is a comma-separated list; empty ones count for nothing."""
        return elements(self.headers.get(name, ""))


def elements(value: str) -> list[str]:
    """The elements of a comma-separated list; empty ones count for nothing."""
    stripped = (element.strip(" \t") for element in value.split(","))
    return [element for element in stripped if element]


def parse_request(data: bytes | bytearray, max_bytes: int = MAX_HEAD_BYTES, known: int = 0) -> Request | None:
    """Read a request head from the start of `data`, an empty line before it or not; None while it is incomplete.

    `known` is how much of `data` was incomplete when this was called before. A GET or HEAD whose chunked body is empty
    is one without a body, which is how proxies write it whose own client ended the request late: it is complete once
    that body is.

    Raises RequestRejected with 400 for what is not HTTP/1.x, 431 for a head over `max_bytes`, 505.
    """
    if known and data.find(_BLANK_LINE, max(0, known - 3)) < 0 and len(data) <= max_bytes:
        # Both a head and an empty body end so. Whoever sends a line at a time does not have all searched each time.
        _reject_early(data, known)
        return None
    start = 2 if data[:2] == b"\r\n" else 0
    end = data.find(_BLANK_LINE, start)
    if end < 0 or end > max_bytes - 4:
        if len(data) > max_bytes or end >= 0:
            raise _too_large(max_bytes)
        _reject_early(data, known)
        return None
    line, line_break, fields = bytes(data[start:end]).partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise malformed("the request line is malformed")
    version = (int(match[3]), int(match[4]))
    check_version(version[0])
    headers = _fields(line_break + fields)
    method = match[1].decode("ascii")
    target = read_target(method, match[2].decode("ascii"), headers.get("host"), version)
    if target.host is not None:
        headers["host"] = target.host
    size = end + 4
    if method in READING and headers.get("transfer-encoding", "").lower() == "chunked":
        body = _empty_chunks(data, size)
        if body is None:
            if len(data) > max_bytes:
                raise _too_large(max_bytes)
            return None
        if body:
            del headers["transfer-encoding"]
            size += body
    return Request(method, target.path, _query(target.query), headers, version, size)


def _too_large(max_bytes: int) -> RequestRejected:
    return RequestRejected(431, "head_too_large", f"the head exceeds {max_bytes} bytes")


def _reject_early(data: bytes | bytearray, known: int) -> None:
    """Answer what can never become a head as soon as its first line is there, instead of at the deadline."""
    start = 2 if data[:2] == b"\r\n" else 0
    newline = data.find(b"\n", max(start, known))
    if newline < 0 or data.find(b"\n", start, newline) >= 0:
        return
    line = bytes(data[start:newline])
    if not (line.endswith(b"\r") and _REQUEST_LINE.fullmatch(line[:-1])):
        raise malformed("the request line is malformed")


def _empty_chunks(data: bytes | bytearray, start: int) -> int | None:
    """The bytes of a chunked body that is empty (RFC 9112 section 7.1); 0 for one that is not, None for neither yet.

    One with trailers counts as not empty: nobody sends them with a GET.
    """
    end = data.find(b"\r\n", start)
    line = bytes(data[start:] if end < 0 else data[start:end])
    size = line.partition(b";")[0].rstrip(b" \t\r")
    if size.strip(b"0"):
        return 0
    if end < 0:
        return None
    behind = bytes(data[end + 2 : end + 4])
    if not size or not b"\r\n".startswith(behind):
        return 0
    return end + 4 - start if len(behind) == 2 else None


def _fields(block: bytes) -> dict[str, str]:
    """The fields of a head; before each of them is its line break."""
    if block.count(b"\r\n") > MAX_FIELDS:
        raise RequestRejected(431, "head_too_large", f"the head has more than {MAX_FIELDS} fields")
    if _FIELDS.fullmatch(block) is None:
        raise malformed("a header field is malformed")
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in SINGLETONS:
            raise given_twice(name)
        else:
            headers[name] += ("; " if name == "cookie" else ", ") + value
    if "content-length" in headers and "transfer-encoding" in headers:
        raise malformed("content-length and transfer-encoding contradict each other")
    return headers


def _query(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise malformed("the query string is malformed") from None
    return dict(pairs)


def read_seconds(text: str) -> int | None:
    """A whole number of seconds from a query; None for anything else, and for more than anybody waits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def check_get(request: Request) -> None:
    """Check that a request is a GET or HEAD without a body. Raises RequestRejected with 405 or 400."""
    if request.method not in READING:
        raise RequestRejected(405, "bad_method", "use GET")
    if has_body(request):
        raise RequestRejected(400, "unexpected_body", "a GET must not have a body")


def has_body(request: Request) -> bool:
    """Whether something follows the head that belongs to the request."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def is_bodyless(data: bytes | bytearray) -> bool:
    """Whether the answer to this head, malformed or not, has no body: it is that of a HEAD."""
    return data[:7].lstrip(b"\r\n").startswith(b"HEAD ")


def head(status: int, fields: Mapping[str, str], date: str) -> bytes:
    """The head of a response of this date whose body, if it has one, ends with its connection."""
    # RFC 9110 section 7.8: Upgrade is named in Connection, or it is not passed on.
    connection = "close, Upgrade" if "Upgrade" in fields else "close"
    fields = {**fields, "Cache-Control": NOT_STORED, "Date": date, "Connection": connection}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1")


def response(
    status: int, body: bytes = b"", fields: Mapping[str, str] | None = None, *, date: str, bodyless: bool = False
) -> bytes:
    """A whole response that ends its connection; `bodyless`: to a HEAD, which is told of the body and not given it."""
    # RFC 9110 section 8.6: none in a 204; in a 304 it would be the length of the 200 that is not sent.
    length = {} if status in (204, 304) else {"Content-Length": str(len(body))}
    return head(status, {**(fields or {}), **length}, date) + (b"" if bodyless else body)


def rejection(
    error: RequestRejected, fields: Mapping[str, str] | None = None, *, date: str, bodyless: bool = False
) -> bytes:
    """The response to a rejected request, as RFC 9457 problem details."""
    body = msgspec.json.encode(problem_document(error.code, error.detail))
    headers = {"Content-Type": PROBLEM_TYPE, **(fields or {}), **error.fields}
    if error.code == 405:
        headers["Allow"] = "GET" if error.reason == "bad_upgrade" else "GET, HEAD"
    if error.code == 426:
        headers |= {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"}
    return response(error.code, body, headers, date=date, bodyless=bodyless)
