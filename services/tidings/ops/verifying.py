"""The signatures of JSON Web Tokens: with a shared secret at once, with public keys in a thread."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

import jwt
from jwt.algorithms import get_default_algorithms

from tidings.errors import KeysError, Overloaded, RequestRejected
from tidings.ops import hs256
from tidings.ops.auth import Identity
from tidings.ops.claims import Claims, bad_token
from tidings.ops.keys import Key
from tidings.ops.pool import WorkerPool

RETRY_SECONDS: Final = 1


class Keys(Protocol):
    """Where the key is that a token names."""

    async def find(self, key_id: str | None) -> Key:
        """Raise RequestRejected when it is not known."""


class OneKey:
    """One key, whatever a token names."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, key_id: str | None) -> Key:
        """The key."""
        return self._key


class SecretAuthentication:
    """HS256 with a shared secret. A few microseconds of CPU: done at once."""

    def __init__(self, secret: str, claims: Claims) -> None:
        """Raise KeysError for what looks like a key that is not secret, with which anybody could sign."""
        try:
            self._secret: bytes = get_default_algorithms()["HS256"].prepare_key(secret)
        except jwt.InvalidKeyError:
            raise KeysError("is a key or a certificate, not a secret") from None
        self._claims = claims

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Identity:
        """Verify the token."""
        payload = hs256.payload(_required(token), self._secret)
        if payload is None:
            raise bad_token()
        return self._claims.identity(payload, query, time.time())


class KeyAuthentication:
    """Signatures of public keys. Slow enough to be made in the pool of threads, whose overflow is a 503."""

    def __init__(self, keys: Keys, pool: WorkerPool, claims: Claims) -> None:
        self._keys = keys
        self._pool = pool
        self._claims = claims
        self._signatures = jwt.PyJWS()

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Coroutine[Any, Any, Identity]:
        """Verify the token, later."""
        token = _required(token)
        return self._verify(token, self._key_id(token), query)

    def _key_id(self, token: str) -> str | None:
        """The `kid` of a header that nothing else is believed of: `jku` and `x5u` name keys of the token's maker."""
        try:
            key_id: str | None = self._signatures.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise bad_token() from None
        return key_id

    async def _verify(self, token: str, key_id: str | None, query: Mapping[str, str]) -> Identity:
        key = await self._keys.find(key_id)
        try:
            payload = await self._pool.run(lambda: self._payload(token, key))
        except Overloaded:
            raise RequestRejected(
                503, "token_checks", "too many tokens are being verified at once", RETRY_SECONDS
            ) from None
        return self._claims.identity(payload, query, time.time())

    def _payload(self, token: str, key: Key) -> bytes:
        try:
            payload: bytes = self._signatures.decode(token, key.public, key.algorithms)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise bad_token() from None
        return payload


def _required(token: str | None) -> str:
    if token is None:
        raise RequestRejected(401, "no_token", "a token is required")
    return token
