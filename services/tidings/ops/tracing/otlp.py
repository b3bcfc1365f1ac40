"""Spans to a collector over OTLP, by OpenTelemetry's library: in batches, from a thread of its own.

What the library takes from the environment holds: OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE and _COMPRESSION,
OTEL_RESOURCE_ATTRIBUTES. What has to be traced is decided before: the library samples nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from importlib.metadata import version
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace import Span as Recorded
from opentelemetry.trace.status import StatusCode
from prometheus_client import CollectorRegistry

from tidings.ops.metrics import HotMetrics
from tidings.ops.settings.urls import TRACES_PATH
from tidings.ops.tracing.sending import Sending
from tidings.ops.tracing.spans import Attributes, Kind

MAX_WAITING: Final = 2_048
"""Spans that wait to be sent; more are dropped and counted. A span takes some 2 kB."""
SEND_SECONDS: Final = 5.0
"""How long a batch may take, with all that is tried again; so a collector that is away keeps at most this many back."""
STOP_SECONDS: Final = 2.0
"""How long the last spans may take on shutdown."""
_KINDS: Final = {"internal": SpanKind.INTERNAL, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER}
_TRACE_ID_BYTES: Final = 16
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class OtlpTracer:
    """Takes spans once it is started; see Tracer."""

    name = "traces"

    def __init__(self, endpoint: str, service: str, registry: CollectorRegistry) -> None:
        self._endpoint = endpoint
        self._service = service
        self._provider: TracerProvider | None = None
        self._sending: Sending | None = None
        self._ended = 0
        self._dropped = 0
        HotMetrics(registry).labelled_counter(
            "tidings_tracing_spans",
            "Spans by outcome: sent, failed or dropped. Only with --tracing-endpoint",
            ["outcome"],
            self._outcomes,
        )

    def _outcomes(self) -> dict[str, float]:
        sending = self._sending
        return {
            "sent": 0 if sending is None else sending.sent,
            "failed": 0 if sending is None else sending.failed,
            "dropped": self._dropped,
        }

    async def start(self) -> None:
        """Begin to send."""
        resource = Resource.create(
            {
                "service.name": self._service,
                "service.version": version("tidings"),
                "service.instance.id": socket.gethostname(),
            }
        )
        exporter = OTLPSpanExporter(self._endpoint + TRACES_PATH, timeout=SEND_SECONDS)
        self._sending = Sending(exporter)
        # Ended by `stop`, which has a bound.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._sending, max_queue_size=2 * MAX_WAITING))
        self._tracer = self._provider.get_tracer("tidings", version("tidings"))

    async def stop(self) -> None:
        """Send what waits; what takes longer than STOP_SECONDS is given up."""
        provider = self._provider
        if provider is None:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            provider.shutdown()
            # The loop may have ended by then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=close, name="traces end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await done.wait()

    def begin(self, name: str, kind: Kind, parent: bytes | None, at: float, attributes: Attributes) -> OtlpSpan:
        """See Tracer. Not to be called before it is started."""
        context = Context() if parent is None else _context(parent)
        span = self._tracer.start_span(
            name, context, _KINDS[kind], attributes=dict(attributes), start_time=_nanoseconds(at)
        )
        return OtlpSpan(span, self)

    def takes(self) -> bool:
        """Whether there is room for one more span that has ended. Where there is none, it counts as dropped."""
        sending = self._sending
        if sending is None or self._ended - sending.sent - sending.failed >= MAX_WAITING:
            self._dropped += 1
            return False
        self._ended += 1
        return True


class OtlpSpan:
    """A span that has begun."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, span: Recorded, tracer: OtlpTracer) -> None:
        self._span = span
        self._tracer = tracer

    @property
    def context(self) -> bytes:
        found = self._span.get_span_context()
        return found.trace_id.to_bytes(16, "big") + found.span_id.to_bytes(8, "big")

    def end(self, at: float, outcome: str = "", *, failed: bool = False) -> None:
        if not self._tracer.takes():
            return
        if outcome:
            self._span.set_attribute("tidings.outcome", outcome)
        if failed:
            self._span.set_status(StatusCode.ERROR, outcome)
        self._span.end(_nanoseconds(at))


def _context(parent: bytes) -> Context:
    trace_id = int.from_bytes(parent[:_TRACE_ID_BYTES], "big")
    span_id = int.from_bytes(parent[_TRACE_ID_BYTES:], "big")
    remote = SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
