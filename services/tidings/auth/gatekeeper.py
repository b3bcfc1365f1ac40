"""Who may have which accounts' changes: origin, host and token rules, shared by gateway and webmail."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from typing import Any, Final, Protocol

from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.ops.http.credentials import bearer, cookie
from tidings.ops.http.loopback import is_own_origin, names_loopback
from tidings.ops.http.refusals import Refusals
from tidings.ops.http.strangers import Strangers
from tidings.wire.change import account_fault

TOKEN_COOKIE: Final = "tidings_token"  # noqa: S105 - the cookie's name, not a token
MAX_ORIGIN_CHARS: Final = 300
"""A scheme, a host name of the 253 characters that DNS has, and a port."""


Admitted = Identity | Coroutine[Any, Any, Identity]
"""An identity at once, or where that takes a while, something to await for it; both raise RequestRejected."""


async def settled(admitted: Admitted) -> Identity:
    """The identity, now or later. Raises RequestRejected."""
    return admitted if isinstance(admitted, Identity) else await admitted


class Authenticator(Protocol):
    """Turns a request's credentials into an identity."""

    @property
    def takes_tokens(self) -> bool:
        """Whether a token counts. Where none does, a request that carries one carries somebody else's."""

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Admitted:
        """Raise RequestRejected (401, 403, 503) when they do not suffice."""


class NoAuthentication:
    """Mode none: the client says which account it wants."""

    takes_tokens = False

    def authenticate(self, token: str | None, query: Mapping[str, str]) -> Identity:
        """Take the account from `?account=`."""
        account = query.get("account")
        if account is None:
            raise RequestRejected(401, "no_account", "give the account as `?account=NAME`")
        fault = account_fault(account)
        if fault:
            raise RequestRejected(401, "bad_account", f"account {fault}")
        return Identity(account, (account,), None)


class Gatekeeper:
    """Admits a request or rejects it. The order is host, origin, then token: a foreign page learns nothing.

    Whoever answers a rejection tells `refusals`, also where it is for another reason.
    """

    def __init__(
        self, authenticator: Authenticator, *, allow_origins: tuple[str, ...], loopback_hosts_only: bool
    ) -> None:
        self.refusals = Refusals("clients")
        self._authenticator = authenticator
        self._allow_origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)
        self._loopback_hosts_only = loopback_hosts_only
        self._strangers = Strangers()

    def taking(self, more: Callable[[Authenticator], Authenticator]) -> Gatekeeper:
        """The same rules with another authenticator, which `more` makes of the present one."""
        keeper = copy(self)
        keeper._authenticator = more(self._authenticator)  # noqa: SLF001 - its own kind
        return keeper

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may talk to us at this host."""
        if len(origin) > MAX_ORIGIN_CHARS:
            return False
        return origin.lower() in self._allow_origins or is_own_origin(origin, host)

    def may_read(self, headers: Mapping[str, str]) -> bool:
        """Whether the page that a request is of may read the answer; `headers` have lower-case names."""
        origin, host = headers.get("origin"), headers.get("host", "")
        if origin is None or (self._loopback_hosts_only and not names_loopback(host)):
            return False
        return self.allows_origin(origin, host)

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
        shown = bearer(headers.get("authorization", ""))
        kept = "" if shown or "cookie" not in headers else cookie(headers["cookie"], TOKEN_COOKIE)
        self.admit_origin(method, headers, upgrade=upgrade, cookie=bool(kept))
        return self._authenticator.authenticate(shown or kept or query.get("access_token"), query)

    def url_credentials(self, headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str]:
        """The query of a URL that speaks for whom a request speaks for, where a client can set no header.

        A cookie is left out: it goes with the URL by itself.
        """
        found = {"account": query["account"]} if "account" in query else {}
        if not self._authenticator.takes_tokens:
            return found
        shown = bearer(headers.get("authorization", ""))
        if not shown and not cookie(headers.get("cookie", ""), TOKEN_COOKIE):
            shown = query.get("access_token", "")
        return {**found, "access_token": shown} if shown else found

    def admit_origin(
        self, method: str, headers: Mapping[str, str], *, upgrade: bool = False, cookie: bool = False
    ) -> None:
        """Check host and origin of a request, whoever it is from. Raises RequestRejected with 403."""
        host = headers.get("host", "")
        self._check_host(host)
        self._check_origin(method, headers, host, upgrade=upgrade, cookie=cookie)

    def _check_host(self, host: str) -> None:
        if self._loopback_hosts_only and not names_loopback(host):
            raise RequestRejected(403, "foreign_host", "without authentication, Host must be a loopback name")

    def _check_origin(self, method: str, headers: Mapping[str, str], host: str, *, upgrade: bool, cookie: bool) -> None:
        origin = headers.get("origin")
        if origin is not None:
            if not self.allows_origin(origin, host):
                self._strangers.refused(origin[:MAX_ORIGIN_CHARS])
                raise RequestRejected(403, "foreign_origin", "this origin is not allowed")
            return
        if cookie and (upgrade or method not in ("GET", "HEAD")):
            raise RequestRejected(403, "no_origin", "a request that carries a cookie must carry an Origin")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise RequestRejected(403, "foreign_origin", "cross-site requests are not allowed")
