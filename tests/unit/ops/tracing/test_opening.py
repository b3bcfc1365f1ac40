from __future__ import annotations

from prometheus_client import CollectorRegistry

from tidings.ops.tracing.opening import tracer_of
from tidings.ops.tracing.otlp import OtlpTracer
from tidings.ops.tracing.settings import TracingSettings


def test_there_is_a_tracer_where_a_collector_is_named() -> None:
    named = TracingSettings.model_validate({"tracing_endpoint": "http://collector:4318"})
    assert isinstance(tracer_of(named, "gateway", CollectorRegistry()), OtlpTracer)
    assert tracer_of(TracingSettings(), "gateway", CollectorRegistry()) is None
