from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tidings.ops.logs import OncePerMinute
from tidings.ops.tracebacks import MAX_BYTES

FAULTS = """
import logging, threading
import structlog
from tidings.ops import logs

logs.configure("{format}", "info")
log = structlog.get_logger("tidings.some")
library = logging.getLogger("some.library")

def fail(password):
    raise RuntimeError("it broke " + "x" * 100_000)

def in_a_thread(password):
    fail(password)

log.info("begun", told="y" * 100_000)
for each in range(5):
    try:
        fail("".join(["hunt", "er2"]))
    except RuntimeError:
        log.exception("request failed", error="z" * 100_000)
        library.exception("%s of a library", "a fault")
thread = threading.Thread(target=in_a_thread, args=("".join(["hunt", "er2"]),), name="worker")
thread.start()
thread.join()
log.info("ended")
fail("".join(["hunt", "er2"]))
"""


@pytest.fixture(scope="module")
def written() -> str:
    return said("json")


def said(log_format: str) -> str:
    script = FAULTS.replace("{format}", log_format)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stderr


def events(written: str, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in written.splitlines()]
    return [line for line in lines if line["event"] == name]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_local_variable_is_shown(log_format: str) -> None:
    written = said(log_format)
    assert "it broke" in written
    assert "in fail" in written
    assert "hunter2" not in written


def test_every_line_is_an_event_and_of_a_bounded_size(written: str) -> None:
    for line in written.splitlines():
        event = json.loads(line)
        assert all(len(json.dumps(value)) <= MAX_BYTES + 2 for value in event.values())


def test_the_same_fault_is_told_once(written: str) -> None:
    (told,) = events(written, "request failed")
    assert (told["level"], "held_back" in told) == ("error", False)
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert "RuntimeError: it broke" in told["exception"]
    assert len(events(written, "a fault of a library")) == 1
    assert [len(events(written, name)) for name in ("begun", "ended")] == [1, 1]


def test_what_ends_a_thread_or_the_process_is_told(written: str) -> None:
    (thread,) = events(written, "thread failed")
    assert (thread["thread"], thread["level"]) == ("worker", "error")
    (process,) = events(written, "process failed")
    assert process["level"] == "critical"
    assert "it broke" in process["exception"]


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.now = 100.0
        self.addFilter(OncePerMinute(lambda: self.now))

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def broken(error: Exception) -> None:
    raise error


def fail(message: str, text: str) -> None:
    try:
        broken(RuntimeError(text))
    except RuntimeError:
        logging.getLogger("library").exception(message)


def test_a_fault_is_told_again_after_a_minute_with_how_often_it_was_held_back(kept: Kept) -> None:
    for second in range(61):
        kept.now = 100.0 + second
        fail("Task exception was never retrieved\nfuture: <Task>", f"the text differs: {second}")
    first, again = kept.records
    assert not hasattr(first, "held_back")
    assert again.held_back == 59  # type: ignore[attr-defined]


def test_faults_of_other_places_or_types_have_a_minute_of_their_own(kept: Kept) -> None:
    fail("one", "x")
    fail("another", "x")
    try:
        broken(KeyError("x"))
    except KeyError:
        logging.getLogger("library").exception("one")
    fail("one", "x")
    assert [record.msg for record in kept.records] == ["one", "another", "one"]


@pytest.fixture
def structlog_to_logging() -> Iterator[None]:
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("structlog_to_logging")
def test_what_was_held_back_and_does_not_happen_again_is_counted_in_a_line_of_its_own(kept: Kept) -> None:
    for _ in range(5):
        fail("one", "x")
    kept.now += 61
    logging.getLogger("library").warning("something else")
    logging.getLogger("library").warning("and more")
    one, held_back, *others = [record.msg for record in kept.records]
    assert one == "one"
    assert isinstance(held_back, dict)
    assert held_back["at"].startswith(f"{__file__}:")
    told = {name: held_back[name] for name in ("event", "fault", "error", "held_back")}
    assert told == {"event": "fault held back", "fault": "one", "error": "RuntimeError", "held_back": 4}
    assert others == ["something else", "and more"]


@pytest.mark.usefixtures("structlog_to_logging")
def test_structlogs_faults_are_paced_like_those_of_libraries(kept: Kept) -> None:
    log = structlog.get_logger("tidings.some")
    for step in range(3):
        kept.now += 30.0 * step
        log.error("failed", exc_info=RuntimeError("x"))
        log.error("failed", exc_info=(RuntimeError, RuntimeError("x"), None))
    first, again = [record.msg for record in kept.records]
    assert isinstance(first, dict)
    assert isinstance(again, dict)
    assert ("held_back" in first, again["held_back"]) == (False, 3)


def test_lines_without_a_traceback_are_not_held_back(kept: Kept) -> None:
    for _ in range(3):
        logging.getLogger("library").error("plain")
        logging.getLogger("library").error("plain", exc_info=False)
    assert len(kept.records) == 6
