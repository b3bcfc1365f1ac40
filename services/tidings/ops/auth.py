"""Who may have which accounts' changes: origin, host and token rules, shared by gateway and webmail."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from tidings.errors import RequestRejected
from tidings.wire.change import account_fault

TOKEN_COOKIE: Final = "tidings_token"  # noqa: S105 - the cookie's name, not a token
FOREIGN: Final = frozenset({"foreign_host", "foreign_origin", "no_origin"})
"""The reasons of rejections that no page may read."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request speaks for. `accounts` starts with the primary one; `expires` is in Unix seconds or None."""

    username: str
    accounts: tuple[str, ...]
    expires: float | None


Admitted = Identity | Coroutine[Any, Any, Identity]
"""An identity at once, or where that takes a while, something to await for it; both raise RequestRejected."""


async def settled(admitted: Admitted) -> Identity:
    """The identity, now or later. Raises RequestRejected."""
    return admitted if isinstance(admitted, Identity) else await admitted


class Authenticator(Protocol):
    """Turns a request's credentials into an identity."""

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Admitted:
        """Raise RequestRejected (401, 403, 503) when they do not suffice."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, can only mean this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _authority(value: str, scheme: str) -> tuple[str, int | None] | None:
    """Host and port of an authority, the scheme's default port made explicit."""
    try:
        parts = urlsplit(f"{scheme}://{value}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname, port or {"http": 80, "https": 443}.get(scheme)


def names_loopback(host: str) -> bool:
    """Whether a Host header, with or without port, can only mean this machine."""
    authority = _authority(host, "http")
    return authority is not None and is_loopback(authority[0])


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an Origin (RFC 6454) is the site that the Host header names; TLS may have ended before us."""
    scheme, separator, rest = origin.lower().partition("://")
    if not separator or scheme not in ("http", "https"):
        return False
    own = _authority(host, scheme)
    return own is not None and own == _authority(rest, scheme)


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _cookie(headers: Mapping[str, str]) -> str | None:
    raw = headers.get("cookie")
    if not raw or TOKEN_COOKIE not in raw:
        return None
    try:
        morsel = SimpleCookie(raw).get(TOKEN_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


class NoAuthentication:
    """Mode none: the client says which account it wants."""

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Identity:
        """Take the account from `?account=`."""
        account = query.get("account")
        if account is None:
            raise RequestRejected(401, "no_account", "say which account: ?account=NAME")
        fault = account_fault(account)
        if fault:
            raise RequestRejected(401, "bad_account", f"account {fault}")
        return Identity(account, (account,), None)


class Gatekeeper:
    """Admits a request or rejects it. The order is host, origin, then token: a foreign page learns nothing."""

    def __init__(
        self, authenticator: Authenticator, *, allow_origins: tuple[str, ...], loopback_hosts_only: bool
    ) -> None:
        self._authenticator = authenticator
        self._allow_origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)
        self._loopback_hosts_only = loopback_hosts_only

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may talk to us at this host."""
        return origin.lower() in self._allow_origins or is_own_origin(origin, host)

    def admit(
        self,
        method: str,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        *,
        upgrade: bool,
    ) -> Admitted:
        """The identity of a request; `headers` have lower-case names.

        Raises RequestRejected with 401, 403 or 503, at once or when it is awaited.
        """
        bearer = _bearer(headers)
        cookie = _cookie(headers) if bearer is None else None
        self.admit_origin(method, headers, upgrade=upgrade, cookie=cookie is not None)
        token = bearer or cookie or query.get("access_token")
        return self._authenticator.authenticate(token, query)

    def admit_origin(
        self, method: str, headers: Mapping[str, str], *, upgrade: bool = False, cookie: bool = False
    ) -> None:
        """Check host and origin of a request, whoever it is from. Raises RequestRejected with 403."""
        host = headers.get("host", "")
        self._check_host(host)
        self._check_origin(method, headers, host, upgrade=upgrade, cookie=cookie)

    def _check_host(self, host: str) -> None:
        if self._loopback_hosts_only and not names_loopback(host):
            raise RequestRejected(403, "foreign_host", "without authentication only loopback names are served")

    def _check_origin(self, method: str, headers: Mapping[str, str], host: str, *, upgrade: bool, cookie: bool) -> None:
        origin = headers.get("origin")
        if origin is not None:
            if not self.allows_origin(origin, host):
                raise RequestRejected(403, "foreign_origin", "this origin is not allowed")
            return
        if cookie and (upgrade or method not in ("GET", "HEAD")):
            raise RequestRejected(403, "no_origin", "a request that carries a cookie must carry an Origin")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise RequestRejected(403, "foreign_origin", "cross-site requests are not allowed")
