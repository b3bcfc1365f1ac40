"""Who may see the pages: this machine under a name of its own, unless the program has another rule.

What they show (memory, stacks, who is connected) is nobody else's business, and some of it costs. A page in a browser
on this machine can reach loopback too: a name that it rebinds to 127.0.0.1 shows in Host, what a page of another site
asks for shows in Sec-Fetch-Site, and what changes something needs a header that no page may send elsewhere without
asking first (a CORS preflight, which nothing answers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from asyncio_pprof.files import NOSNIFF
from asyncio_pprof.loopback import is_loopback, names_loopback

CHANGE_HEADER: Final = "X-Requested-With"
READING: Final = frozenset({"GET", "HEAD"})
OF_PROXIES: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")

Guard = Callable[[Request], Response | None]
"""The answer for whoever may not see the pages; None for whoever may."""


def is_local(scope: Scope) -> bool:
    """Whether a connection begins and ends on this machine, as far as addresses tell.

    Both ends count. The sidecar of a service mesh passes on what others send, from loopback but to the address they
    meant; and of a peer that has already reset the connection the server knows no address.
    """
    client, server = scope.get("client"), scope.get("server")
    return client is not None and server is not None and is_loopback(client[0]) and is_loopback(server[0])


def is_foreign(headers: Headers) -> bool:
    """Whether a page of another site asks (Fetch Metadata), and not a person who has followed its link.

    It could not read the answer. But a GET too can stop the process for a moment: `heap?gc=1`, `objects?force=1`.
    """
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-user") != "?1"


def loopback_only(request: Request) -> Response | None:
    """The guard where the program has none: refuses (403) who is not on this machine, or speaks for somebody else."""
    headers = request.headers
    if not is_local(request.scope) or any(name in headers for name in OF_PROXIES):
        return _refused("these pages answer only this machine, and no request that a proxy forwards")
    if not names_loopback(headers.get("host", "")):
        return _refused("these pages accept only loopback names in Host, such as localhost")
    if is_foreign(headers):
        return _refused("a page of another site may only link to this page")
    if request.method not in READING and CHANGE_HEADER not in headers:
        return _refused(f"a request that changes something needs the header {CHANGE_HEADER}, with any value")
    return None


def _refused(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 403, NOSNIFF)


class Guarded:
    """ASGI middleware: passes on what the guard does not answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        answer = self._guard(Request(scope)) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)
