from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.support.otlp import Receiver, receiver
from tests.support.ports import free_ports
from tests.support.waiting import eventually, patient
from tidings.ops.tracing import otlp
from tidings.ops.tracing.otlp import STOP_SECONDS, OtlpTracer

PARENT = bytes(range(1, 25))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as taking:
        yield taking


@pytest.fixture(autouse=True)
def _library() -> Iterator[None]:
    """The logger of the library as it was: it is the whole process's."""
    library = logging.getLogger("opentelemetry")
    before = library.handlers[:], library.propagate
    yield
    library.handlers[:], library.propagate = before


@asynccontextmanager
async def tracing(endpoint: str, registry: CollectorRegistry) -> AsyncIterator[OtlpTracer]:
    tracer = OtlpTracer(endpoint, "tidings-test", registry)
    await tracer.start()
    try:
        yield tracer
    finally:
        # The collector here takes what waits, however late a busy machine lets it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(otlp, "STOP_SECONDS", patient(30))
            await tracer.stop()


def counted(registry: CollectorRegistry) -> dict[str, float | None]:
    return {
        outcome: registry.get_sample_value("tidings_tracing_spans_total", {"outcome": outcome})
        for outcome in ("sent", "failed", "dropped")
    }


async def test_spans_come_to_the_collector_with_their_ids_times_and_words(
    collector: Receiver, registry: CollectorRegistry
) -> None:
    async with tracing(collector.url, registry) as tracer:
        child = tracer.begin("ingest", "consumer", PARENT, 1_000.25, {"tidings.shard": 3})
        child.end(1_000.5, "confirmed")
        root = tracer.begin("storage", "producer", None, 1_000.0, {})
        root.end(1_000.25, "away", failed=True)
    ingest, storage = collector.spans
    assert (ingest.trace, ingest.parent) == (PARENT[:16].hex(), PARENT[16:].hex())
    assert child.context == bytes.fromhex(ingest.trace + ingest.id)
    assert (ingest.service, ingest.name, ingest.kind) == ("tidings-test", "ingest", "SPAN_KIND_CONSUMER")
    assert (ingest.began, ingest.ended) == (1_000.25, 1_000.5)
    assert ingest.attributes == {"tidings.shard": "3", "tidings.outcome": "confirmed"}
    assert ingest.status == {}
    assert (storage.parent, storage.kind) == ("", "SPAN_KIND_PRODUCER")
    assert storage.status == {"message": "away", "code": "STATUS_CODE_ERROR"}
    assert root.context == bytes.fromhex(storage.trace + storage.id)
    assert counted(registry) == {"sent": 2, "failed": 0, "dropped": 0}


async def test_what_the_environment_says_of_headers_holds(
    collector: Receiver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20secret")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with tracing(collector.url, registry) as tracer:
        tracer.begin("ingest", "consumer", None, 1.0, {}).end(2.0)
    assert collector.headers["authorization"] == "Bearer secret"
    assert len(collector.spans) == 1


async def test_a_collector_that_refuses_is_told_once_with_the_reason(
    collector: Receiver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    collector.status = 401
    with capture_logs() as logs:
        async with tracing(collector.url, registry) as tracer:
            for number in (1, 2):
                tracer.begin("ingest", "consumer", None, 1.0, {}).end(2.0)
                await eventually(lambda number=number: counted(registry)["failed"] == number)  # type: ignore[misc]
            collector.status = 200
            tracer.begin("ingest", "consumer", None, 1.0, {}).end(2.0)
            await eventually(lambda: counted(registry)["sent"] == 1)
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("the collector does not take traces", "warning"),
        ("the collector takes traces again", "info"),
    ]
    assert "401" in logs[0]["reason"]


async def test_stopping_waits_for_no_collector_that_is_away(registry: CollectorRegistry) -> None:
    tracer = OtlpTracer(f"http://127.0.0.1:{free_ports(1)[0]}", "tidings-test", registry)
    await tracer.start()
    tracer.begin("ingest", "consumer", None, 1.0, {}).end(2.0)
    before = time.monotonic()
    await tracer.stop()
    assert time.monotonic() - before < patient(STOP_SECONDS)


async def test_what_there_is_no_room_for_is_dropped_and_counted(
    collector: Receiver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "MAX_WAITING", 2)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    collector.status = 503
    async with tracing(collector.url, registry) as tracer:
        for _ in range(5):
            tracer.begin("ingest", "consumer", None, 1.0, {}).end(2.0)
        assert counted(registry)["dropped"] == 3
        collector.status = 200


async def test_a_tracer_that_never_started_is_stopped_all_the_same(registry: CollectorRegistry) -> None:
    await OtlpTracer("http://127.0.0.1:1", "tidings-test", registry).stop()
    assert counted(registry) == {"sent": 0, "failed": 0, "dropped": 0}
