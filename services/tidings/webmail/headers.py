"""Security headers of every response, and of files."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
}


def page_policy(gateway_url: str | None) -> str:
    """The page's Content-Security-Policy: its own files, its own API, the gateway, nothing else."""
    connect = "'self'"
    if gateway_url is not None:
        parts = urlsplit(gateway_url)
        secure = "s" if parts.scheme == "https" else ""
        connect += f" ws{secure}://{parts.netloc} http{secure}://{parts.netloc}"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {connect}; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def kept_as(name: str) -> dict[str, str]:
    """Header fields of a file that a stranger has sent: to be kept under its name (RFC 6266), never shown by itself."""
    # Browsers take what is behind a slash for the name, and know no other rule for names.
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.replace('/', '_') or 'attachment', safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "no-store",
    }


class SecurityHeaders:
    """ASGI middleware. A response that brings its own Content-Security-Policy keeps it."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", self._policy)
            await send(message)

        await self._app(scope, receive, send_secured)
