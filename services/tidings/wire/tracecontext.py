"""The trace that a change is part of: W3C Trace Context as CloudEvents carry it, and as it is here. Pure.

https://www.w3.org/TR/trace-context/#traceparent-header and the distributed tracing extension of CloudEvents. A context
is 24 bytes here: the trace's id, and the id of the span that is the parent of what comes next. There is none of a trace
that is not sampled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from tidings.wire.change import Change, TracedChange

ATTRIBUTE: Final = "traceparent"
"""Both the attribute of an event and the header of a request."""
TRACE_ID_BYTES: Final = 16
CONTEXT_BYTES: Final = 24
_MAX_CHARS: Final = 256
_SAMPLED: Final = 1
# Versions that are still to come may have more behind these four fields.
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def read(traceparent: object) -> bytes | None:
    """The context of a trace that is sampled; None for another, and for what is no traceparent.

    Nothing is refused for a bad one: the specification has it ignored.
    """
    if not isinstance(traceparent, str) or len(traceparent) > _MAX_CHARS:
        return None
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return bytes.fromhex(trace_id + span_id) if int(flags, 16) & _SAMPLED else None


def traced(change: Change, context: bytes | None) -> Change:
    """The change as a part of the trace of this context; as it is without one."""
    return change if context is None else TracedChange(**msgspec.structs.asdict(change), context=context)


def context_of(change: Change) -> bytes | None:
    """The context that a change came with."""
    return change.context if isinstance(change, TracedChange) else None


def first_trace(changes: Sequence[Change]) -> str | None:
    """The id of the first trace of these changes as logs write it; None where none is traced."""
    contexts = map(context_of, changes)
    return next((trace_id(context) for context in contexts if context is not None), None)


def trace_id(context: bytes) -> str:
    """The id of the trace as logs and exemplars write it."""
    return context[:TRACE_ID_BYTES].hex()
