"""Which tracer a command has."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from tidings.ops.tracing.settings import TracingSettings
from tidings.ops.tracing.spans import Tracer


def tracer_of(settings: TracingSettings, command: str, registry: CollectorRegistry) -> Tracer | None:
    """What the spans of this command go to; None where the settings name no collector."""
    if settings.tracing_endpoint is None:
        return None
    # Here: it takes 40 ms and some megabytes, and few need it.
    from tidings.ops.tracing.otlp import OtlpTracer

    return OtlpTracer(settings.tracing_endpoint, f"tidings-{command}", registry)
