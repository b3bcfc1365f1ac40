"""Static files of this package, each by its name in one directory, and none but those."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

NOSNIFF: Final = {"X-Content-Type-Options": "nosniff"}
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


def files(directory: Path, headers: Mapping[str, str], index: str = "") -> Callable[[Request], Awaitable[Response]]:
    """Answer with the file that the route's parameter `file` names; without a name, with the `index`."""

    async def serve(request: Request) -> Response:
        path = _found(directory, request.path_params["file"] or index)
        if path is None:
            return PlainTextResponse("no such file\n", 404, NOSNIFF)
        return FileResponse(path, media_type=TYPES[path.suffix], headers={**headers, **NOSNIFF})

    return serve


def _found(directory: Path, name: str) -> Path | None:
    return next((path for path in directory.iterdir() if path.name == name and path.suffix in TYPES), None)
