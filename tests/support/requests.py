"""Requests as the gateway reads them."""

from __future__ import annotations

from tidings.gateway.codecs import http1
from tidings.gateway.codecs.http1 import Request


def request_of(target: str, *fields: str) -> Request:
    """A GET with these header fields, each `Name: value`, beside Host."""
    lines = "".join(f"{field}\r\n" for field in ("Host: a", *fields))
    read = http1.parse_request(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
    assert read is not None
    return read
