"""Flame graphs in the browser: speedscope's static pages, served by this process, that load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from tidings.ops.pprof.answers import NOSNIFF

FILES: Final = Path(__file__).parent / "speedscope"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Speedscope makes its rules of style as it runs, and one of its importers is WebAssembly."""


async def serve(request: Request) -> Response:
    """One of its files."""
    name = request.path_params.get("file") or "index.html"
    path = FILES / name
    kind = TYPES.get(path.suffix)
    if kind is None or path not in FILES.iterdir():
        return PlainTextResponse("no such file\n", 404, NOSNIFF)
    return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": POLICY, **NOSNIFF})


def link(name: str, query: str = "") -> str:
    """Where a profile is shown, seen from the index of profiles."""
    profile = f"../pprof/{name}{'?' if query else ''}{query}"
    return f"../flame/#profileURL={quote(profile, safe='')}&title={quote(name)}"
