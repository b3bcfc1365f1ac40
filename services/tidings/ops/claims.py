"""JSON Web Tokens (RFC 7519): who a token speaks for, once its signature is verified."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import jwt

from tidings.errors import Overloaded, RequestRejected
from tidings.ops.auth import Identity
from tidings.ops.keys import Key, PublicKey
from tidings.ops.pool import WorkerPool
from tidings.wire.change import account_fault

LEEWAY_SECONDS: Final = 30
MAX_ACCOUNTS: Final = 64
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


@dataclass(frozen=True, slots=True)
class Claims:
    """What is asked of tokens beside a signature: `sub` is the primary account, `accounts` lists more, `exp` is
    required; `iss` and `aud` where they are given.
    """

    issuer: str | None = None
    audience: str | None = None

    def identity(
        self, token: str, key: str | PublicKey, algorithms: tuple[str, ...], query: Mapping[str, str]
    ) -> Identity:
        """Verify a token; `?account=` narrows the identity to one of its accounts. Raises RequestRejected."""
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                options={"require": ["exp", "sub"], "verify_aud": self.audience is not None},
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY_SECONDS,
            )
        except jwt.ExpiredSignatureError:
            raise RequestRejected(401, "expired_token", "the token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _bad_token() from None
        accounts = _accounts_of(claims)
        wanted = query.get("account")
        if wanted is not None:
            if wanted not in accounts:
                raise RequestRejected(403, "foreign_account", "the token does not name this account")
            accounts = (wanted,)
        return Identity(str(claims["sub"]), accounts, float(claims["exp"]) + LEEWAY_SECONDS)


class SecretAuthentication:
    """HS256 with a shared secret. 20 us of CPU: done at once."""

    def __init__(self, secret: str, claims: Claims) -> None:
        self._secret = secret
        self._claims = claims

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Identity:
        """Verify the token."""
        return self._claims.identity(_required(token), self._secret, ("HS256",), query)


class KeyAuthentication:
    """Signatures of public keys. Slow enough to be made in the pool of threads, whose overflow is a 503."""

    def __init__(self, keys: Keys, pool: WorkerPool, claims: Claims) -> None:
        self._keys = keys
        self._pool = pool
        self._claims = claims

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Coroutine[Any, Any, Identity]:
        """Verify the token, later."""
        token = _required(token)
        return self._verify(token, _key_id(token), query)

    async def _verify(self, token: str, key_id: str | None, query: Mapping[str, str]) -> Identity:
        key = await self._keys.find(key_id)
        try:
            return await self._pool.run(partial(self._claims.identity, token, key.public, key.algorithms, query))
        except Overloaded:
            raise RequestRejected(
                503, "token_checks", "too many tokens are being verified at once", RETRY_SECONDS
            ) from None


def _required(token: str | None) -> str:
    if token is None:
        raise RequestRejected(401, "no_token", "a token is required")
    return token


def _bad_token() -> RequestRejected:
    return RequestRejected(401, "bad_token", "the token is not valid here")


def _key_id(token: str) -> str | None:
    """The `kid` of a token's header, which nothing else is believed of (`jku` and `x5u` name keys of its maker's)."""
    try:
        key_id: str | None = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _bad_token() from None
    return key_id


def _accounts_of(claims: Mapping[str, object]) -> tuple[str, ...]:
    more = claims.get("accounts", [])
    if not isinstance(more, list) or len(more) >= MAX_ACCOUNTS:
        raise RequestRejected(401, "bad_token", f"accounts must be a list of fewer than {MAX_ACCOUNTS} names")
    accounts = tuple(dict.fromkeys([claims["sub"], *more])) if all(isinstance(a, str) for a in more) else ()
    names = tuple(account for account in accounts if isinstance(account, str))
    if not names or any(account_fault(account) for account in names):
        raise RequestRejected(401, "bad_token", "sub and accounts must be account names")
    return names
