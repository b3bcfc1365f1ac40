"""What the pages have in common: plain HTML below one stylesheet, and nothing from elsewhere."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from asyncio_pprof.files import NOSNIFF, files
from asyncio_pprof.home import PROFILES, Home

BELOW: Final = "/debug"
"""Where the pages are, as Go has them."""
STATIC: Final = Path(__file__).parent / "static"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    **NOSNIFF,
}


def assets(below: str = BELOW) -> Route:
    """The stylesheet and the icon of the pages."""
    return Route(f"{below}/assets/{{file}}", files(STATIC, {}))


def document(title: str, body: str, home: Home = PROFILES, up: str = "") -> Response:
    """A page; `body` is HTML. Links are relative, so that they hold below any prefix.

    `up` leads from a page that is deeper than `/debug/` to there, such as `../`.
    """
    name = html.escape(title)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{name}</title><link rel=icon href='{up}assets/icon.svg'>"
        f"<link rel=stylesheet href='{up}assets/pages.css'>"
        f"<header class=bar><a href='{up}{html.escape(home.href)}'>{html.escape(home.title)}</a>"
        f"<h1>{name}</h1></header>"
        f"<main class=document>{body}</main>",
        headers=HEADERS,
    )


def wants_json(request: Request) -> bool:
    """Whether JSON is asked for: `?format=json`, or an Accept that does not name HTML."""
    asked = request.query_params.get("format")
    return asked == "json" or (asked is None and "text/html" not in request.headers.get("accept", ""))
