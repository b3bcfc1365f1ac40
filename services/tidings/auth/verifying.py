"""Tokens that are verified at once: those of a shared secret, and those that are our own."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tidings.auth import hs256
from tidings.auth.claims import Claims, bad_token, required
from tidings.auth.gatekeeper import Admitted, Authenticator
from tidings.auth.identity import Identity
from tidings.auth.push_tokens import PushTokens
from tidings.errors import KeysError
from tidings.ops.settings.secret_values import is_key


class SecretAuthentication:
    """HS256 with a shared secret. A few microseconds of CPU: done at once."""

    takes_tokens = True

    def __init__(self, secret: str, claims: Claims) -> None:
        """Raise KeysError for what looks like a key that is not secret, with which anybody could sign."""
        if is_key(secret):
            raise KeysError("is a key or a certificate, not a secret")
        self._secret = hs256.key(secret)
        self._claims = claims

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Identity:
        payload = hs256.payload(required(token), self._secret)
        if payload is None:
            raise bad_token()
        return self._claims.identity(payload, query, time.time())


class PushTokenAuthentication:
    """Admits whoever shows a push token, and asks `other` about everybody else.

    That of the URL comes first: clients send with it whatever they show to the JMAP server, too.
    """

    takes_tokens = True

    def __init__(self, tokens: PushTokens, other: Authenticator) -> None:
        self._tokens = tokens
        self._other = other

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Admitted:
        said = self._tokens.read(query.get("access_token", ""))
        return self._other.authenticate(token, query) if said is None else said.identity(query, time.time())
