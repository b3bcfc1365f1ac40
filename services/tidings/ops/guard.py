"""Who may use the admin listener: this machine under a name of its own, and whoever knows the token.

What it shows (memory, stacks, who is connected) is nobody else's business, and some of it costs. A page in a browser
on this machine can reach loopback too: a name that it rebinds to 127.0.0.1 shows in Host, what a page of another site
asks for shows in Sec-Fetch-Site, and what changes something needs a header that no page may send elsewhere without
asking first (a CORS preflight, which nothing answers).
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings.errors import SettingsError
from tidings.ops.auth import is_loopback, names_loopback
from tidings.ops.settings import OpsSettings
from tidings.ops.tokens import Tokens, bearer

CHANGE_HEADER: Final = "X-Requested-With"
READING: Final = frozenset({"GET", "HEAD"})


class AdminAccess:
    """Decides about one request by where it comes from, its method and its headers."""

    def __init__(self, token: str | None = None) -> None:
        self._tokens = Tokens([token] if token is not None else [])

    def refusal(self, scope: Scope) -> PlainTextResponse | None:
        """Why a request is not answered (400, 401, 403), or None."""
        headers = Headers(scope=scope)
        # A page that rebinds its name does not know the token, so with it any Host is good.
        if not self._tokens.know(bearer(headers.get("authorization", ""))):
            if not _is_local(scope):
                return PlainTextResponse(
                    "from elsewhere than loopback the admin token is required, as Authorization: Bearer\n",
                    401,
                    {"WWW-Authenticate": 'Bearer realm="tidings admin"'},
                )
            if not names_loopback(headers.get("host", "")):
                return PlainTextResponse("without the admin token only loopback names are served\n", 400)
            if _is_foreign(headers):
                return PlainTextResponse("a page of another site may only link here\n", 403)
        if scope["method"] not in READING and CHANGE_HEADER not in headers:
            return PlainTextResponse(f"what may change something needs the header {CHANGE_HEADER}, of any value\n", 403)
        return None


class AdminGuard:
    """ASGI middleware: passes on what `access` does not refuse."""

    def __init__(self, app: ASGIApp, access: AdminAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        await (self._access.refusal(scope) or self._app)(scope, receive, send)


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


def _is_foreign(headers: Headers) -> bool:
    """Whether a page of another site asks (Fetch Metadata), and not a person who has followed its link.

    It could not read the answer. But a GET too can stop the process for a moment: `heap?gc=1`, `objects?force=1`.
    """
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-user") != "?1"


def _is_local(scope: Scope) -> bool:
    """Whether a connection begins and ends on this machine.

    Both ends count. The sidecar of a service mesh passes on what others send, from loopback but to the address they
    meant; and of a peer that has already reset the connection the server knows no address.
    """
    client, server = scope.get("client"), scope.get("server")
    if client is None and server is None:
        # A Unix socket: the admin process of several workers, which has asked the same questions before.
        return True
    return client is not None and server is not None and is_loopback(client[0]) and is_loopback(server[0])
