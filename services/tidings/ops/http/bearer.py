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

    def know(self, token: bytes | str) -> bool:
        """Whether this is one of them; text is that of a header field, which is decoded as Latin-1."""
        given = token.encode("latin-1", "replace") if isinstance(token, str) else token
        digest = hashlib.sha256(given).digest()
        known = False
        for each in self._digests:
            known |= hmac.compare_digest(each, digest)
        return known
