from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Metric
from structlog.contextvars import get_contextvars

from tests.support.spans import KeptSpans
from tidings.errors import LogUnavailable
from tidings.publisher.change_traces import MAX_CHARS, ChangeTraces, TracedBatch
from tidings.publisher.metrics import PublisherMetrics
from tidings.wire.batch import MAX_TRACED, Traced
from tidings.wire.change import Change
from tidings.wire.tracecontext import traced

CAME = bytes(range(24))
CHANGE = Change("alice", {"Email": None}, "MessageNew", "42", "/imap1", 1_000.0, 1_000.5)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def tracer() -> KeptSpans:
    return KeptSpans()


class Wall:
    now = 1_001.0

    def __call__(self) -> float:
        return self.now


def traces(tracer: KeptSpans, registry: CollectorRegistry, ratio: float = 0.5, chance: float = 0.5) -> ChangeTraces:
    return ChangeTraces(tracer, ratio, PublisherMetrics(registry), Wall(), lambda: chance)


def begun(found: TracedBatch | None) -> TracedBatch:
    assert found is not None
    return found


def exemplars(registry: CollectorRegistry, name: str) -> list[tuple[str, float]]:
    families: list[Metric] = [metric for metric in registry.collect() if metric.name == name]
    return [
        (sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for sample in families[0].samples
        if sample.exemplar is not None
    ]


def test_a_change_that_came_with_a_trace_goes_on_in_it(tracer: KeptSpans, registry: CollectorRegistry) -> None:
    other = Change("bob", {"Email": None}, "MessageNew", "43", "/imap1")
    found = begun(traces(tracer, registry).begin([other, traced(CHANGE, CAME)], 3, "batch 00"))
    ingest, append = tracer.spans
    assert (ingest.name, ingest.kind, ingest.parent, ingest.began) == ("ingest", "consumer", CAME, 1_000.5)
    assert (append.name, append.kind, append.parent, append.began) == ("append", "producer", ingest.context, 1_001.0)
    assert found.traced == (Traced(1, append.context),)
    assert append.attributes == {"tidings.shard": 3, "tidings.batch": "batch 00", "tidings.batch.changes": 2}


def test_what_chance_has_picked_begins_with_the_storage(tracer: KeptSpans, registry: CollectorRegistry) -> None:
    found = begun(traces(tracer, registry, chance=0.49).begin([CHANGE], 3, "batch 00"))
    storage, ingest, append = tracer.spans
    assert (storage.name, storage.parent, storage.began, storage.ended) == ("storage", None, 1_000.0, 1_000.5)
    assert (ingest.parent, append.parent) == (storage.context, ingest.context)
    assert found.traced == (Traced(0, append.context),)
    assert traces(tracer, registry=CollectorRegistry(), chance=0.5).begin([CHANGE], 3, "batch 00") is None


@pytest.mark.parametrize("time", [None, 1_000.6, 1_000.5 - 3_601])
def test_a_time_of_a_storage_that_measures_nothing_is_no_span(
    tracer: KeptSpans, registry: CollectorRegistry, time: float | None
) -> None:
    change = Change("alice", {"Email": None}, "MessageNew", "42", "/imap1", time, 1_000.5)
    begun(traces(tracer, registry, ratio=1).begin([change], 3, "batch 00"))
    assert [span.name for span in tracer.spans] == ["ingest", "append"]


def test_no_span_names_an_account_and_none_is_long(tracer: KeptSpans, registry: CollectorRegistry) -> None:
    change = Change("alice", {"Email": "s1"}, "MessageNew", "1" * 1_000, "/" * 1_000, 1_000.0)
    begun(traces(tracer, registry, ratio=1).begin([change], 3, "batch 00"))
    said = [str(value) for span in tracer.spans for value in span.attributes.values()]
    assert "MessageNew" in said
    assert not [each for each in said if "alice" in each or "s1" in each or len(each) > MAX_CHARS]


def test_of_many_traced_changes_some_go_on(tracer: KeptSpans, registry: CollectorRegistry) -> None:
    found = begun(traces(tracer, registry).begin([traced(CHANGE, CAME)] * (MAX_TRACED + 1), 3, "batch 00"))
    assert [each.index for each in found.traced] == list(range(MAX_TRACED))


def test_a_batch_that_is_confirmed_is_an_example_of_the_latencies(
    tracer: KeptSpans, registry: CollectorRegistry
) -> None:
    found = begun(traces(tracer, registry).begin([CHANGE, traced(CHANGE, CAME)], 3, "batch 00"))
    with found:
        assert get_contextvars()["trace_id"] == CAME[:16].hex()
        found.confirmed(0.02, [0.5, 0.03], "confirmed by the log")
    assert "trace_id" not in get_contextvars()
    assert {(span.ended, span.outcome, span.failed) for span in tracer.spans} == {
        (1_001.0, "confirmed by the log", False)
    }
    assert exemplars(registry, "tidings_publisher_append_seconds") == [(CAME[:16].hex(), 0.02)]
    assert exemplars(registry, "tidings_ingest_to_confirm_seconds") == [(CAME[:16].hex(), 0.03)]


def test_a_batch_that_fails_says_why(tracer: KeptSpans, registry: CollectorRegistry) -> None:
    found = begun(traces(tracer, registry, ratio=1).begin([CHANGE], 3, "batch 00"))
    with pytest.raises(LogUnavailable), found:
        raise LogUnavailable("the log is away")
    assert {(span.outcome, span.failed) for span in tracer.spans[1:]} == {("not confirmed: the log is away", True)}
    assert exemplars(registry, "tidings_publisher_append_seconds") == []


def test_a_batch_in_the_spool_has_measured_no_append(tracer: KeptSpans, registry: CollectorRegistry) -> None:
    found = begun(traces(tracer, registry, ratio=1).begin([CHANGE], 3, "batch 00"))
    with found:
        found.stored("kept in the spool")
    assert {(span.outcome, span.failed) for span in tracer.spans[1:]} == {("kept in the spool", False)}
    assert exemplars(registry, "tidings_publisher_append_seconds") == []
