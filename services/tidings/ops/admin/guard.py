"""Who may use the admin listener: this machine under a name of its own, and whoever knows the token.

What it shows (memory, stacks, who is connected) is nobody else's business, and some of it costs. A page in a browser
on this machine can reach loopback too: a name that it rebinds to 127.0.0.1 shows in Host, what a page of another site
asks for shows in Sec-Fetch-Site, and what changes something needs a header that no page may send elsewhere without
asking first (a CORS preflight, which nothing answers).
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from asyncio_pprof.access import CHANGE_HEADER, READING, is_foreign, is_local
from tidings.errors import SettingsError
from tidings.ops.http.bearer import Tokens
from tidings.ops.http.credentials import bearer
from tidings.ops.http.loopback import is_loopback, names_loopback
from tidings.ops.http.refusals import Refusals
from tidings.ops.settings.common import OpsSettings


class Refusal(PlainTextResponse):
    """Why a request is not answered: `reason` for the log, and the text for whoever asked."""

    def __init__(self, reason: str, text: str, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{text}\n", status, headers)
        self.reason = reason


class AdminAccess:
    """Decides about one request by where it comes from, its method and its headers."""

    def __init__(self, token: str | None = None) -> None:
        self._tokens = Tokens([token] if token is not None else [])

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why a request is not answered (400, 401, 403), or None."""
        headers = Headers(scope=scope)
        # A page that rebinds its name does not know the token, so with it any Host is good.
        if not self._tokens.know(bearer(headers.get("authorization", ""))):
            if not _is_of_this_machine(scope):
                return Refusal(
                    "bad_token" if "authorization" in headers else "no_token",
                    "a request from another machine needs the admin token, as Authorization: Bearer",
                    401,
                    {"WWW-Authenticate": 'Bearer realm="tidings admin"'},
                )
            if not names_loopback(headers.get("host", "")):
                return Refusal("foreign_host", "without the admin token, Host must be a loopback name", 400)
            if is_foreign(headers):
                return Refusal("foreign_site", "a page of another site may only link to this page", 403)
        if scope["method"] not in READING and CHANGE_HEADER not in headers:
            text = f"a request that changes something needs the header {CHANGE_HEADER}, with any value"
            return Refusal("no_change_header", text, 403)
        return None


class AdminGuard:
    """ASGI middleware: passes on what `access` does not refuse."""

    def __init__(self, app: ASGIApp, access: AdminAccess) -> None:
        self._app = app
        self._access = access
        self._refusals = Refusals("admin")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        refusal = self._access.refusal(scope)
        if refusal is not None:
            self._refusals.refused(refusal.reason)
        await (refusal or self._app)(scope, receive, send)


def admin_access(settings: OpsSettings) -> AdminAccess:
    """The access rules for these settings. Raises SettingsError when they would let the whole network in."""
    if settings.admin_token is None:
        if not is_loopback(settings.admin_host):
            raise SettingsError(
                f"--admin-host {settings.admin_host} would show memory and stacks to the network: "
                "set TIDINGS_ADMIN_TOKEN"
            )
        return AdminAccess()
    return AdminAccess(settings.admin_token.get_secret_value())


def _is_of_this_machine(scope: Scope) -> bool:
    # A Unix socket has no addresses: the admin process of several workers, which has asked the same questions before.
    return is_local(scope) or (scope.get("client") is None and scope.get("server") is None)
