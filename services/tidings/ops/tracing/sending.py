"""What becomes of spans that are sent: counted, and told in the log as one outage, not batch by batch."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tidings.ops.outage import Outage, Stage

_LIBRARY: Final = "opentelemetry"
_log = structlog.get_logger()


class _Heard(logging.Handler):
    """Keeps the last things that the library said of a failure, in place of a line for each."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: deque[str] = deque(maxlen=2)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class Sending(SpanExporter):
    """Sends by another exporter. `sent` and `failed` count spans. Belongs to the thread that sends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.sent = 0
        self.failed = 0
        self._exporter = exporter
        self._outage = Outage()
        self._heard = _Heard()
        library = logging.getLogger(_LIBRARY)
        library.handlers[:] = [self._heard]
        library.propagate = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        self._heard.said.clear()
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - such as a CA certificate that is no file
            result = SpanExportResult.FAILURE
            self._heard.said.append(str(error))
        now = time.monotonic()
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            told = self._outage.mended(now)
            if told is not None:
                _log.info("the collector takes traces again", seconds=told.seconds, failures=told.failures)
        else:
            self.failed += len(spans)
            told = self._outage.failed(now)
            if told is not None:
                event = "the collector does not take traces"
                if told.stage is Stage.LASTS:
                    event = "the collector still does not take traces"
                reason = "; ".join(self._heard.said)
                _log.warning(event, reason=reason, seconds=told.seconds, failures=told.failures)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
