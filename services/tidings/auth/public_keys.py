"""Tokens that are verified with public keys, in a thread: the key of a file, or the set of an address.

Apart from the other ways, since most of what this one imports is for nobody else: some 12 MB.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import jwt
from jwt.algorithms import OKPAlgorithm

from tidings.auth.claims import Claims, bad_token, required
from tidings.auth.identity import Identity
from tidings.auth.keys import ALGORITHMS, Key, read_key
from tidings.errors import KeysError, Overloaded, RequestRejected, SettingsError
from tidings.ops.pool import WorkerPool

RETRY_SECONDS: Final = 1


class Keys(Protocol):
    """Where the key is that a token names."""

    async def find(self, key_id: str | None, algorithm: str) -> tuple[Key, ...]:
        """The keys that may have signed a token with this `kid` and `alg`. Raises RequestRejected: there is none."""


class OneKey:
    """One key, whatever a token names."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, key_id: str | None, algorithm: str) -> tuple[Key, ...]:
        return (self._key,)


class KeyAuthentication:
    """Signatures of public keys. Slow enough to be made in the pool of threads, whose overflow is a 503."""

    takes_tokens = True

    def __init__(self, keys: Keys, pool: WorkerPool, claims: Claims) -> None:
        self._keys = keys
        self._pool = pool
        self._claims = claims
        self._signatures = jwt.PyJWS()
        # RFC 9864 gives the algorithm that the library knows as EdDSA a name of its own.
        self._signatures.register_algorithm("Ed25519", OKPAlgorithm())

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Coroutine[Any, Any, Identity]:
        token = required(token)
        key_id, algorithm = self._header(token)
        return self._verify(token, key_id, algorithm, query)

    def _header(self, token: str) -> tuple[str | None, str]:
        """The `kid` and `alg` of a header. They choose among the keys that are known, and nothing else of it counts:
        `jku` and `x5u` name keys of the token's maker. What a key is for, the key says.
        """
        try:
            header = self._signatures.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise bad_token() from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise bad_token()
        return header.get("kid"), algorithm

    async def _verify(self, token: str, key_id: str | None, algorithm: str, query: Mapping[str, str]) -> Identity:
        keys = await self._keys.find(key_id, algorithm)
        try:
            payload = await self._pool.run(lambda: self._payload(token, keys))
        except Overloaded:
            raise RequestRejected(
                503, "token_checks", "too many tokens are being verified at once", RETRY_SECONDS
            ) from None
        return self._claims.identity(payload, query, time.time())

    def _payload(self, token: str, keys: Sequence[Key]) -> bytes:
        for key in keys:
            try:
                payload: bytes = self._signatures.decode(token, key.public, key.algorithms)
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                continue
            return payload
        raise bad_token()


def read_key_file(path: Path) -> Key:
    """The key that --jwt-key names. Raises SettingsError."""
    try:
        return read_key(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"--jwt-key {path}: {error.strerror}") from None
    except KeysError as error:
        raise SettingsError(f"--jwt-key {path} {error}") from None
