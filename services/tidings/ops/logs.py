"""Logs: one line per event, JSON for machines and colours for people, libraries' lines included."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from tidings.ops.paced import Paced
from tidings.ops.tracebacks import MAX_BYTES, kind, rendered, shortened

_log = structlog.get_logger("tidings.faults")
_SWEEP_SECONDS: Final = 1.0


class OncePerMinute(logging.Filter):
    """Lets one line a minute through of each fault, which is what has a traceback, with how many were held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._paced = Paced[tuple[str, str, str, int]]()
        self._lock = threading.Lock()
        self._swept = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        now = self._clock()
        written = self._is_due(record, now)
        self._tell_of_the_last(now)
        return written

    def _is_due(self, record: logging.LogRecord, now: float) -> bool:
        # What structlog logs is a mapping; what libraries log has attributes.
        event: MutableMapping[str, Any] = record.msg if isinstance(record.msg, dict) else record.__dict__
        error = _error(event.get("exc_info"))
        if error is None:
            return True
        title = str(event.get("event", record.msg)).partition("\n")[0]
        with self._lock:
            times = self._paced.happened((title, *kind(error)), now)
        if times > 1:
            event["held_back"] = times - 1
        return times > 0

    def _tell_of_the_last(self, now: float) -> None:
        """Tell of faults that were held back and did not happen again."""
        with self._lock:
            if now - self._swept < _SWEEP_SECONDS:
                return
            self._swept = now
            overdue = self._paced.overdue(now)
        for (title, error, file, line), times in overdue:
            _log.error("fault held back", fault=title, error=error, at=f"{file}:{line}", held_back=times)


def _error(info: object) -> BaseException | None:
    match info:
        case BaseException():
            return info
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exception()
    return None


def _drop_uvicorn_color(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event


def _shorten(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """No value is larger than a traceback may be: some come from outside."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = shortened(value, MAX_BYTES)
    return event


def configure(log_format: Literal["auto", "json", "console"], log_level: str) -> None:
    """Log to standard error. Everything of `log_level` and above, libraries from warnings on."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_uvicorn_color,
    ]
    level = logging.getLevelNamesMapping()[log_level.upper()]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        # The traceback is text by then. Another formatter would want to make it itself, with local variables.
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OncePerMinute())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(rendered),
                _shorten,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("tidings").setLevel(level)
    # Its warnings are about what peers send: anybody could fill the log with them.
    logging.getLogger("uvicorn.error").setLevel(max(level, logging.ERROR))
    logging.captureWarnings(True)
    sys.excepthook = _log_what_ends_the_process
    threading.excepthook = _log_what_ends_a_thread


def _log_what_ends_the_process(kind_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind_, KeyboardInterrupt):
        sys.__excepthook__(kind_, error, trace)
    else:
        _log.critical("process failed", exc_info=error)


def _log_what_ends_a_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        _log.error("thread failed", thread=ended.thread.name if ended.thread else None, exc_info=ended.exc_value)
