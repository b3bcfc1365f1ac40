"""What tools read of the public port: its OpenAPI and AsyncAPI documents, as files of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FILES: Final = {"/openapi.yaml": "openapi-gateway.yaml", "/asyncapi.yaml": "asyncapi.yaml"}
MEDIA_TYPE: Final = "application/yaml"
"""RFC 9512."""


def source(name: str) -> Path:
    """Where a document is: inside an installed package, or beside a source checkout's services."""
    packaged = Path(__file__).parent / "static" / name
    return packaged if packaged.is_file() else Path(__file__).parents[4] / "docs" / "reference" / name


def routes() -> Iterator[Route]:
    """A route for each document. Nothing is read before somebody asks."""
    return (Route(path, _answer) for path in FILES)


async def _answer(request: Request) -> Response:
    return Response(source(FILES[request.scope["path"]]).read_bytes(), media_type=MEDIA_TYPE)
