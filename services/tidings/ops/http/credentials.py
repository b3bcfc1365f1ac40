"""Credentials as they come in the head of a request. Pure.

The one place that reads them: what is no credential of ours (a password for a proxy in front, another application's
cookie) is passed over, and never answered back or compared.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable
from typing import Final

_BLANKS: Final = " \t"


_JOINED_BY: Final = {"cookie": "; ", "forwarded": ", ", "x-forwarded-for": ", "}


def joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fields by lower-case name. Cookies (RFC 9113 section 8.2.3) and what proxies write are joined, of others the
    first counts.

    HAProxy, for one, writes a field of its own behind that of the client, whose word alone would count else.
    """
    headers: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()
        if name not in headers:
            headers[name] = value
        elif name in _JOINED_BY:
            headers[name] += f"{_JOINED_BY[name]}{value}"
    return headers


def bearer(authorization: str) -> str:
    """The token in an Authorization field of the scheme Bearer (RFC 6750 section 2.1); empty: there is none."""
    scheme, token = _credentials(authorization)
    return token if scheme == "bearer" else ""


def basic_password(authorization: str) -> bytes:
    """The password in an Authorization field of the scheme Basic (RFC 7617 section 2); empty: there is none."""
    scheme, encoded = _credentials(authorization)
    if scheme != "basic":
        return b""
    try:
        return b64decode(encoded.encode("latin-1", "replace"), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def cookie(field: str, name: str) -> str:
    """The value of the cookie `name` in a Cookie field (RFC 6265 section 5.4); empty: there is none.

    Only `;` separates cookies: whatever the value of another cookie holds, it says nothing of ours. Of several of our
    name the first counts, which is the one with the longest path.
    """
    for pair in field.split(";"):
        found, _, value = pair.partition("=")
        value = value.strip(_BLANKS)
        if found.strip(_BLANKS) == name and value:
            return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return ""


def _credentials(authorization: str) -> tuple[str, str]:
    """Scheme, in lower case, and credentials of an Authorization field (RFC 9110 section 11.4)."""
    scheme, _, credentials = authorization.strip(_BLANKS).partition(" ")
    return scheme.lower(), credentials.strip(_BLANKS)
