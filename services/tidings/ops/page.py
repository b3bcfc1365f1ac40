"""A page of the admin listener: plain HTML below one stylesheet, and nothing from elsewhere."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

STATIC: Final = Path(__file__).parent / "static"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
ASSETS: Final = Mount("/assets", StaticFiles(directory=STATIC), name="assets")


def document(title: str, body: str) -> Response:
    """A page below `/debug/`; `body` is HTML. Links are relative, so that they hold below any prefix."""
    name = html.escape(title)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{name}</title><link rel=icon href='../assets/icon.svg'>"
        "<link rel=stylesheet href='../assets/ops.css'>"
        f"<header class=bar><a href='../'>Dashboard</a><h1>{name}</h1></header><main class=document>{body}</main>",
        headers=HEADERS,
    )


def wants_json(request: Request) -> bool:
    """Whether JSON is asked for: `?format=json`, or an Accept that does not name HTML."""
    asked = request.query_params.get("format")
    return asked == "json" or (asked is None and "text/html" not in request.headers.get("accept", ""))
