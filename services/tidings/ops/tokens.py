"""Tokens that a request may present, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


class Tokens:
    """The tokens that are known. Of each only a digest is kept."""

    def __init__(self, tokens: Sequence[str]) -> None:
        # Digests are of one length, so that comparing them takes the same time for every guess.
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def know(self, token: bytes) -> bool:
        """Whether this is one of them."""
        digest = hashlib.sha256(token).digest()
        known = False
        for each in self._digests:
            known |= hmac.compare_digest(each, digest)
        return known


def bearer(authorization: str) -> bytes:
    """The token in an Authorization header of the scheme Bearer (RFC 6750); empty: there is none."""
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
