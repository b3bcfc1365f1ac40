from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx2
from prometheus_client import CollectorRegistry
from structlog.contextvars import get_contextvars

from asyncio_pprof.traces import Life
from tidings.publisher.accounts import AccountMap
from tidings.publisher.ingest.access import IngestAccess
from tidings.publisher.ingest.app import create_app
from tidings.publisher.ingest.routes import routes_of
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.settings import PublisherSettings
from tidings.wire.change import Change
from tidings.wire.tracecontext import context_of, trace_id

OF_THE_EVENT, OF_THE_REQUEST = bytes(range(1, 25)), bytes(range(2, 26))
EVENT = {"specversion": "1.0", "id": "1", "source": "/test", "type": "mail.MessageNew", "subject": "alice"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}


def traceparent(context: bytes, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{context[:16].hex()}-{context[16:].hex()}-{flags}"}


async def contexts(
    events: Sequence[dict[str, str]], headers: dict[str, str], *, traced: bool
) -> tuple[list[bytes | None], object]:
    """The contexts of the changes that were submitted, and the trace that log lines then have."""
    taken: list[Change] = []
    bound: list[object] = []

    async def submit(changes: Sequence[Change], life: Life | None) -> None:
        taken.extend(changes)
        bound.append(get_contextvars().get("trace_id"))

    app = create_app(
        submit,
        IngestAccess((), loopback_hosts_only=True),
        PublisherMetrics(CollectorRegistry()),
        AccountMap(),
        lambda count: None,
        routes_of(PublisherSettings(), traced=traced),
        traced=traced,
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
        # In a task of its own, as under a server.
        posted = client.post("/v1/changes", json=events, headers={**BATCHED, **headers})
        answer = await asyncio.create_task(posted)
    assert answer.status_code == 202, answer.text
    return list(map(context_of, taken)), bound[0]


async def test_an_event_is_part_of_its_own_trace_or_else_of_its_requests() -> None:
    events = [EVENT, {**EVENT, **traceparent(OF_THE_EVENT)}]
    found = await contexts(events, traceparent(OF_THE_REQUEST), traced=True)
    assert found == ([OF_THE_REQUEST, OF_THE_EVENT], trace_id(OF_THE_REQUEST))


async def test_lines_in_the_log_have_the_first_trace_that_there_is() -> None:
    events = [EVENT, {**EVENT, **traceparent(OF_THE_EVENT)}]
    assert await contexts(events, {}, traced=True) == ([None, OF_THE_EVENT], trace_id(OF_THE_EVENT))


async def test_what_is_not_sampled_is_not_traced() -> None:
    events = [{**EVENT, **traceparent(OF_THE_EVENT, "00")}]
    assert await contexts(events, traceparent(OF_THE_REQUEST, "00"), traced=True) == ([None], None)


async def test_a_publisher_without_a_collector_reads_no_trace() -> None:
    events = [{**EVENT, **traceparent(OF_THE_EVENT)}]
    assert await contexts(events, traceparent(OF_THE_REQUEST), traced=False) == ([None], None)
