"""Write docs/reference/openapi-ingest.json: what the ingest port serves as /openapi.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from tidings.publisher.ingest.dovecot import Deliveries
from tidings.publisher.ingest.openapi import DescribedRoute, described_app
from tidings.publisher.ingest.routes import routes_of
from tidings.publisher.settings import PublisherSettings

FILE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "openapi-ingest.json"


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


def document() -> dict[str, Any]:
    """The document of all routes that a publisher serves."""
    routes = (*routes_of(PublisherSettings()), Deliveries().route)
    return described_app([DescribedRoute(route, _nobody) for route in routes]).openapi()


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
