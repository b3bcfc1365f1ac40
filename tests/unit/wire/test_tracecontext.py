from __future__ import annotations

import pytest

from tidings.wire.change import Change, TracedChange, held_bytes, untraced
from tidings.wire.tracecontext import context_of, first_trace, read, trace_id, traced

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = bytes.fromhex(TRACE + SPAN)
CHANGE = Change("alice", {"Email": "s1"}, "MessageNew", "1", "/test", 1.0, 2.0)


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-03",
        f"00-{TRACE}-{SPAN}-ff",
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_the_context_of_a_sampled_trace(traceparent: str) -> None:
    assert read(traceparent) == CONTEXT
    assert trace_id(CONTEXT) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        7,
        "",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-02",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 256}",
        f"00-{TRACE}-{SPAN}-\u0661\u0661",
    ],
)
def test_what_is_no_sampled_trace_is_none(traceparent: object) -> None:
    assert read(traceparent) is None


def test_a_change_is_traced_and_is_otherwise_the_same() -> None:
    found = traced(CHANGE, CONTEXT)
    assert (context_of(found), untraced(found)) == (CONTEXT, CHANGE)
    assert type(untraced(found)) is Change
    assert traced(CHANGE, None) is untraced(CHANGE) is CHANGE
    assert context_of(CHANGE) is None
    assert isinstance(found, TracedChange)
    assert held_bytes(found) > held_bytes(CHANGE) + len(CONTEXT)


def test_the_first_trace_of_several_changes() -> None:
    assert first_trace([CHANGE, traced(CHANGE, CONTEXT), traced(CHANGE, bytes(24))]) == TRACE
    assert first_trace([CHANGE]) is None
