"""The OpenAPI document of the ingest port: FastAPI makes it of the routes that serve, and of the models they read with.

It says what the source code says and holds no secret, so it is served to whoever reaches the port.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Routed
from starlette.types import ASGIApp

from asyncio_pprof.page import assets, document
from tidings.publisher.ingest import operations
from tidings.publisher.ingest.docs_page import OPENAPI, page
from tidings.publisher.ingest.routes import Route
from tidings.publisher.ingest.schemas import schemas

DOCUMENT_PATH: Final = "/openapi.json"
PAGE_PATH: Final = "/docs"
_DESCRIPTION: Final = (
    "Mail storages send changes of mailboxes to this API. Tidings tells clients that something changed, but not what: "
    "Tidings keeps no subject, no sender and no text of a mail. After the answer 202, every client of the account is "
    "told."
)
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `TIDINGS_INGEST_TOKENS`."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The same token as the password. The user name has no meaning.",
    },
}


class DescribedRoute(APIRoute):
    """A route that FastAPI describes and that an ASGI application answers.

    What FastAPI does with a request of one change took as long as everything else together.
    """

    def __init__(self, route: Route, app: ASGIApp) -> None:
        """Raises KeyError for a path that nothing describes."""
        operation = operations.OPERATIONS[route.path]
        super().__init__(
            route.path,
            _answered_elsewhere,
            methods=[route.method],
            operation_id=operation.id,
            summary=operation.summary,
            description=operation.description,
            status_code=202,
            responses=operations.responses(operation),
            openapi_extra=operations.described(operation),
        )
        self.app = app


async def _answered_elsewhere() -> None:
    """Stands where FastAPI wants a function to look at."""


class DescribedApp(FastAPI):
    """FastAPI with the schemas of models that are read without its help."""

    def openapi(self) -> dict[str, Any]:
        """The document. It is made when it is first asked for."""
        made = super().openapi()
        made["components"] = {"schemas": schemas(), "securitySchemes": _SECURITY}
        return made


def described_app(routes: list[BaseRoute], **options: Any) -> FastAPI:
    """An application with these routes, its document and the page of it; `options` are FastAPI's."""

    async def show(_: Request) -> Response:
        return document("Tidings ingest API", page(app.openapi()), OPENAPI)

    app = DescribedApp(
        title="Tidings ingest",
        version=version("tidings"),
        description=_DESCRIPTION,
        openapi_url=DOCUMENT_PATH,
        docs_url=None,
        redoc_url=None,
        routes=[*routes, Routed(PAGE_PATH, show), assets("")],
        **options,
    )
    return app
