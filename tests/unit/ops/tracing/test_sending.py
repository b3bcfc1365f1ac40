from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from tidings.ops.tracing.sending import Sending


class Exporter(SpanExporter):
    """Raises what it is given, or says how it went, with a word in the log of the library."""

    def __init__(self, outcome: Exception | SpanExportResult) -> None:
        self.outcome = outcome
        self.ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        logging.getLogger("opentelemetry.exporter").warning("away, once more")
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def shutdown(self) -> None:
        self.ended = True


SPANS = [ReadableSpan("ingest"), ReadableSpan("append")]


@pytest.fixture(autouse=True)
def _library() -> Iterator[None]:
    """The logger of the library as it was: it is the whole process's."""
    library = logging.getLogger("opentelemetry")
    before = library.handlers[:], library.propagate
    yield
    library.handlers[:], library.propagate = before


def test_an_exporter_that_fails_is_told_with_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    sending = Sending(Exporter(SpanExportResult.FAILURE))
    with capture_logs() as logs:
        assert sending.export(SPANS) is SpanExportResult.FAILURE
        sending.export(SPANS)
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("the collector does not take traces", "away, once more")
    ]
    assert (sending.sent, sending.failed) == (0, 4)
    assert caplog.records == [], "the library says nothing by itself"


def test_an_exporter_that_raises_has_failed() -> None:
    sending = Sending(Exporter(OSError("no such certificate")))
    with capture_logs() as logs:
        assert sending.export(SPANS) is SpanExportResult.FAILURE
    assert logs[0]["reason"] == "away, once more; no such certificate"
    assert (sending.sent, sending.failed) == (0, 2)


def test_what_works_again_is_told() -> None:
    exporter = Exporter(SpanExportResult.FAILURE)
    sending = Sending(exporter)
    sending.export(SPANS)
    exporter.outcome = SpanExportResult.SUCCESS
    with capture_logs() as logs:
        sending.export(SPANS)
    assert [line["event"] for line in logs] == ["the collector takes traces again"]
    assert (sending.sent, sending.failed) == (2, 2)
    sending.shutdown()
    assert exporter.ended
