"""Spans as those see them who have something to tell: no library of anybody's is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from tidings.ops.service import Service

Kind = Literal["internal", "producer", "consumer"]
Attributes = Mapping[str, str | int | float]


class Span(Protocol):
    """A part of a trace that has begun."""

    @property
    def context(self) -> bytes:
        """What makes another span its child: 16 bytes of the trace's id, 8 of its own."""

    def end(self, at: float, outcome: str = "", *, failed: bool = False) -> None:
        """It ended at `at`, in Unix seconds, with this outcome."""


class Tracer(Service, Protocol):
    """Takes spans of traces that are sampled; all others are nobody's to tell of."""

    def begin(self, name: str, kind: Kind, parent: bytes | None, at: float, attributes: Attributes) -> Span:
        """A span began at `at`, in Unix seconds, as a child of that of the context `parent`; without, a new trace."""
