"""Spans kept where a test can look at them, in place of a collector."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from tidings.ops.tracing.spans import Attributes, Kind


@dataclass
class KeptSpan:
    """A span, and what became of it."""

    name: str
    kind: Kind
    parent: bytes | None
    began: float
    attributes: Attributes
    context: bytes
    ended: float | None = None
    outcome: str = ""
    failed: bool = False

    def end(self, at: float, outcome: str = "", *, failed: bool = False) -> None:
        assert self.ended is None, "a span ends once"
        self.ended, self.outcome, self.failed = at, outcome, failed


@dataclass
class KeptSpans:
    """A tracer. The ids of its traces and spans are numbers in the order in which they began."""

    name: str = "kept"
    spans: list[KeptSpan] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def begin(self, name: str, kind: Kind, parent: bytes | None, at: float, attributes: Attributes) -> KeptSpan:
        number = next(self._numbers)
        trace = number.to_bytes(16, "big") if parent is None else parent[:16]
        span = KeptSpan(name, kind, parent, at, attributes, trace + number.to_bytes(8, "big"))
        self.spans.append(span)
        return span

    def named(self, name: str) -> list[KeptSpan]:
        return [span for span in self.spans if span.name == name]
