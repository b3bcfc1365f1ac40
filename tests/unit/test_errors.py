from __future__ import annotations

import inspect
import re

import pytest

from tidings import errors
from tidings.errors import (
    ConnectionFailed,
    EventError,
    LogFull,
    LogUnavailable,
    Problem,
    ReadLost,
    RequestRejected,
    TidingsError,
)


def drawn() -> dict[str, str]:
    """Error -> its parent, as drawn at the top of the module."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"(?:[│ ]*[├└]── )?(?=[A-Z])(\w+)", line):
            depth, name = found.start(1), found.group(1)
            path = [(above, parent) for above, parent in path if above < depth]
            if path:
                parents[name] = path[-1][1]
            path.append((depth, name))
    return parents


def test_the_tree_drawn_is_the_tree() -> None:
    defined = {
        name: kind.__base__.__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, TidingsError) and kind is not TidingsError and kind.__base__ is not None
    }
    assert drawn() == defined


@pytest.mark.parametrize("kind", [LogUnavailable, LogFull, ReadLost])
def test_log_errors_say_what_happened(kind: type[TidingsError]) -> None:
    assert str(kind("the broker is away")) == "the broker is away"


def test_an_event_error_carries_its_status_and_problems() -> None:
    problem = Problem(event=3, field="data.changed", detail="must not be empty")
    error = EventError(422, "invalid events", (problem,))
    assert (error.status, error.detail, error.problems, str(error)) == (
        422,
        "invalid events",
        (problem,),
        "invalid events",
    )
    assert EventError(400, "malformed JSON").problems == ()


@pytest.mark.parametrize("kind", [RequestRejected, ConnectionFailed])
def test_a_client_error_carries_its_code_and_a_metric_label(
    kind: type[RequestRejected] | type[ConnectionFailed],
) -> None:
    error = kind(403, "origin", "foreign Origin")
    assert (error.code, error.reason, error.detail, str(error)) == (403, "origin", "foreign Origin", "foreign Origin")
