"""Tokens signed with a shared secret: JWS in its compact form (RFC 7515), HS256 (RFC 7518 section 3.2). Pure.

Ours, because everybody who comes back is verified on the main loop, and most of what a library does for it is the same
for every token: see decision 25. Nothing of a token is parsed before its MAC is right, so that whoever does not know
the secret reaches no parser.
"""

from __future__ import annotations

import hmac
from binascii import a2b_base64, b2a_base64
from typing import Final, Literal

import msgspec

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# What base64url does not have becomes what base64 does not have: padding too, which a JWS is without.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/---")


class _Header(msgspec.Struct, gc=False):
    alg: Literal["HS256"]
    kid: str = ""
    crit: object = msgspec.UNSET
    b64: bool = True


_header = msgspec.json.Decoder(_Header).decode


def payload(token: str, secret: bytes) -> bytes | None:
    """What a token says that was signed with this secret; None for any other, whatever it is.

    No extension is known, so a `crit` (RFC 7515 section 4.1.11) makes a token one that is not understood, and so does
    a payload that is not encoded (RFC 7797). There is one way to write a signature: the comparison is of its text.
    """
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
        mac = b2a_base64(hmac.digest(secret, signed, "sha256"), newline=False).translate(_TO_URL, b"=")
        if not hmac.compare_digest(mac, signature):
            return None
        head, body = signed.split(b".")
        header = _header(_decoded(head).decode())
        if header.crit is not msgspec.UNSET or not header.b64:
            return None
        return _decoded(body)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def _decoded(part: bytes) -> bytes:
    return a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4), strict_mode=True)
