from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.ports import free_ports
from tidings.ops.budget import Budget
from tidings.ops.http.serving import UvicornService
from tidings.webmail.announcer import IngestAnnouncer, SourceAnnouncer


class Ingest:
    """Takes what is announced and answers with `status`."""

    def __init__(self) -> None:
        self.status = 202
        self.requests: list[tuple[Request, bytes]] = []
        self.server = UvicornService(
            "ingest",
            Starlette(routes=[Route("/v1/changes", self._take, methods=["POST"])]),
            "127.0.0.1",
            0,
            Budget().account("requests"),
        )

    async def _take(self, request: Request) -> Response:
        self.requests.append((request, await request.body()))
        return Response(status_code=self.status)


@pytest.fixture
async def ingest() -> AsyncIterator[Ingest]:
    ingest = Ingest()
    await ingest.server.start()
    yield ingest
    await ingest.server.stop()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def count(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value("tidings_webmail_announcements_total", {"outcome": outcome})


async def test_a_change_is_announced_as_a_cloud_event(ingest: Ingest, registry: CollectorRegistry) -> None:
    announcer = IngestAnnouncer(f"http://127.0.0.1:{ingest.server.port}/", "the token", registry)
    await announcer.start()
    await announcer.announce("alice <x>", "MessageNew")
    await announcer.stop()
    ((request, body),) = ingest.requests
    event: dict[str, Any] = json.loads(body)
    assert request.headers["authorization"] == "Bearer the token"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert event["type"] == "mail.MessageNew"
    assert event["subject"] == "alice <x>"
    assert abs((datetime.fromisoformat(event["time"]) - datetime.now(UTC)).total_seconds()) < 60
    assert count(registry, "accepted") == 1


async def test_that_nobody_could_be_told_is_counted_and_not_raised(ingest: Ingest, registry: CollectorRegistry) -> None:
    ingest.status = 503
    announcer = IngestAnnouncer(f"http://127.0.0.1:{ingest.server.port}", None, registry)
    await announcer.announce("alice", "MessageExpunge")
    await announcer.stop()
    assert "authorization" not in ingest.requests[0][0].headers
    (port,) = free_ports(1)
    nobody = IngestAnnouncer(f"http://127.0.0.1:{port}", None, CollectorRegistry())
    await nobody.announce("alice", "MessageExpunge")
    await nobody.stop()
    assert count(registry, "failed") == 1
    assert count(registry, "accepted") is None


async def test_where_a_source_watches_nothing_is_announced() -> None:
    await SourceAnnouncer().announce("alice", "MessageNew")
