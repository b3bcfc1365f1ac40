"""Who may have which accounts' changes: origin, host and token rules, shared by gateway and webmail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final, Protocol
from urllib.parse import urlsplit

import jwt
import structlog

from tidings.errors import RequestRejected, SettingsError
from tidings.ops.settings import AuthSettings
from tidings.wire.change import account_fault

TOKEN_COOKIE: Final = "tidings_token"  # noqa: S105 - the cookie's name, not a token
LEEWAY_SECONDS: Final = 30
MAX_ACCOUNTS: Final = 64
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key has at least 256 bits."""
FOREIGN: Final = frozenset({"foreign_host", "foreign_origin", "no_origin"})
"""The reasons of rejections that no page may read."""
WEBMAIL_ORIGINS: Final = ("http://127.0.0.1:8082", "http://localhost:8082")
"""Allowed in mode none on loopback, so that the suite's own webmail on its own port works as installed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request speaks for. `accounts` starts with the primary one; `expires` is in Unix seconds or None."""

    username: str
    accounts: tuple[str, ...]
    expires: float | None


class Authenticator(Protocol):
    """Turns a request's credentials into an identity."""

    def authenticate(self, token: str | None, query: Mapping[str, str], now: float) -> Identity:
        """Raise RequestRejected (401, 403) when they do not suffice."""


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

    def authenticate(self, token: str | None, query: Mapping[str, str], now: float) -> Identity:
        """Take the account from `?account=`."""
        account = query.get("account")
        if account is None:
            raise RequestRejected(401, "no_account", "say which account: ?account=NAME")
        fault = account_fault(account)
        if fault:
            raise RequestRejected(401, "bad_account", f"account {fault}")
        return Identity(account, (account,), None)


class JwtAuthentication:
    """Mode jwt, HS256: `sub` is the primary account, `accounts` lists more, `exp` is required (RFC 7519)."""

    def __init__(self, secret: str, issuer: str | None, audience: str | None) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._options = {"require": ["exp", "sub"], "verify_aud": audience is not None}

    def authenticate(self, token: str | None, query: Mapping[str, str], now: float) -> Identity:
        """Verify the token; `?account=` narrows the identity to one of its accounts."""
        if token is None:
            raise RequestRejected(401, "no_token", "a token is required")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                options=self._options,  # type: ignore[arg-type]  # a literal dict would be a TypedDict
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
            )
        except jwt.ExpiredSignatureError:
            raise RequestRejected(401, "expired_token", "the token has expired") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise RequestRejected(401, "bad_token", "the token is not valid here") from None
        accounts = _accounts_of(claims)
        wanted = query.get("account")
        if wanted is not None:
            if wanted not in accounts:
                raise RequestRejected(403, "foreign_account", "the token does not name this account")
            accounts = (wanted,)
        return Identity(str(claims["sub"]), accounts, float(claims["exp"]) + LEEWAY_SECONDS)


def _accounts_of(claims: Mapping[str, object]) -> tuple[str, ...]:
    more = claims.get("accounts", [])
    if not isinstance(more, list) or len(more) >= MAX_ACCOUNTS:
        raise RequestRejected(401, "bad_token", f"accounts must be a list of fewer than {MAX_ACCOUNTS} names")
    accounts = tuple(dict.fromkeys([claims["sub"], *more])) if all(isinstance(a, str) for a in more) else ()
    names = tuple(account for account in accounts if isinstance(account, str))
    if not names or any(account_fault(account) for account in names):
        raise RequestRejected(401, "bad_token", "sub and accounts must be account names")
    return names


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
        now: float,
    ) -> Identity:
        """The identity of a request; `headers` have lower-case names, `now` is in Unix seconds.

        Raises RequestRejected with 401 or 403.
        """
        bearer = _bearer(headers)
        cookie = _cookie(headers) if bearer is None else None
        self.admit_origin(method, headers, upgrade=upgrade, cookie=cookie is not None)
        token = bearer or cookie or query.get("access_token")
        return self._authenticator.authenticate(token, query, now)

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


def gatekeeper(settings: AuthSettings, host: str) -> Gatekeeper:
    """The gatekeeper for a listener on `host`.

    Raises SettingsError when the settings would leave mail notifications open to the network.
    """
    if settings.auth == "none":
        if not settings.insecure and not is_loopback(host):
            raise SettingsError(
                f"--auth none on {host} would serve every account to the network: use --auth jwt, or --insecure"
            )
        origins = tuple(settings.allow_origin)
        return Gatekeeper(
            NoAuthentication(),
            allow_origins=origins if settings.insecure else (*origins, *WEBMAIL_ORIGINS),
            loopback_hosts_only=not settings.insecure,
        )
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else ""
    if not secret:
        raise SettingsError("--auth jwt needs the HS256 secret in TIDINGS_JWT_SECRET")
    if len(secret.encode()) < MIN_SECRET_BYTES:
        structlog.get_logger().warning(
            "short jwt secret", bytes=len(secret.encode()), recommended_bytes=MIN_SECRET_BYTES
        )
    return Gatekeeper(
        JwtAuthentication(secret, settings.jwt_issuer, settings.jwt_audience),
        allow_origins=tuple(settings.allow_origin),
        loopback_hosts_only=False,
    )
