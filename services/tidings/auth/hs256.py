"""Tokens signed with a shared secret: JWS in its compact form (RFC 7515), HS256 (RFC 7518 section 3.2). Pure.

Ours, because everybody who comes back is verified on the main loop, and most of what a library does for it is the same
for every token: see decision 25. Nothing of a token is parsed before its MAC is right, so that whoever does not know
the secret reaches no parser.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import Final, Literal

import msgspec

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# What base64url does not have becomes what base64 does not have: padding too, which a JWS is without.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/---")

_HEADER: Final = b2a_base64(b'{"alg":"HS256","typ":"JWT"}', newline=False).translate(_TO_URL, b"=")
KNOWN_HEADERS: Final = 16
"""Headers that are read once for many tokens: whoever signs tokens writes the same one each time."""


class _Header(msgspec.Struct, gc=False):
    alg: Literal["HS256"]
    kid: str = ""
    crit: object = msgspec.UNSET
    b64: bool = True


_header = msgspec.json.Decoder(_Header).decode


def key(secret: str) -> bytes:
    """The key that a secret is; of one that is not UTF-8, the very bytes that it was read from."""
    return secret.encode("utf-8", "surrogateescape")


def sign(said: bytes, secret: bytes) -> str:
    """A token that says this JSON object."""
    signed = _HEADER + b"." + _encoded(said)
    return (signed + b"." + _encoded(hmac.digest(secret, signed, "sha256"))).decode("ascii")


def payload(token: str, secret: bytes) -> bytes | None:
    """What a token says that was signed with this secret; None for any other, whatever it is.

    No extension is known, so a `crit` (RFC 7515 section 4.1.11) makes a token one that is not understood, and so does
    a payload that is not encoded (RFC 7797). There is one way to write a signature: the comparison is of its text.
    """
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
        mac = _encoded(hmac.digest(secret, signed, "sha256"))
        if not hmac.compare_digest(mac, signature):
            return None
        head, body = signed.split(b".")
        return _decoded(body) if _is_understood(head) else None
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


@lru_cache(KNOWN_HEADERS)
def _is_understood(head: bytes) -> bool:
    """Whether this header, whose MAC is right, asks for nothing but HS256. Raises as decoding does."""
    header = _header(_decoded(head).decode())
    return header.crit is msgspec.UNSET and header.b64


def _encoded(part: bytes) -> bytes:
    return b2a_base64(part, newline=False).translate(_TO_URL, b"=")


def _decoded(part: bytes) -> bytes:
    return a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4), strict_mode=True)
