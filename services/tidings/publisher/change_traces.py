"""Spans of some changes in this publisher: from the storage's own time to the append that carries the trace on.

A change is traced when its event came with the context of a sampled trace, or as the first of a batch that chance has
picked. The append is the parent of what gateways tell: the batch in the log says so (wire/batch.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass
from itertools import islice
from random import random
from types import TracebackType
from typing import Any, Final, Self

from structlog.contextvars import bind_contextvars, reset_contextvars

from tidings.ops.tracing.spans import Span, Tracer
from tidings.publisher.metrics import PublisherMetrics
from tidings.wire.batch import MAX_TRACED, Traced
from tidings.wire.change import Change, is_far
from tidings.wire.tracecontext import context_of, trace_id

MAX_CHARS: Final = 256
"""As much of an event's id and source as a span has."""


@dataclass(frozen=True, slots=True)
class _TracedChange:
    index: int
    ingest: Span
    append: Span

    def end(self, at: float, outcome: str, *, failed: bool) -> None:
        for span in (self.append, self.ingest):
            span.end(at, outcome, failed=failed)


class TracedBatch:
    """The traced changes of one batch, within the block that appends it: log lines then have the id of the first."""

    def __init__(self, changes: Sequence[_TracedChange], metrics: PublisherMetrics, wall: Callable[[], float]) -> None:
        self._changes = changes
        self._metrics = metrics
        self._wall = wall
        self._bound: Mapping[str, Token[Any]] = {}
        self.traced = tuple(Traced(change.index, change.append.context) for change in changes)
        """What the log is to say of them."""

    def __enter__(self) -> Self:
        self._bound = bind_contextvars(trace_id=trace_id(self.traced[0].context))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reset_contextvars(**self._bound)
        if error is not None:
            at = self._wall()
            for change in self._changes:
                change.end(at, f"not confirmed: {error}", failed=True)

    def confirmed(self, append_seconds: float, waited: Sequence[float], outcome: str) -> None:
        """The log has the batch `append_seconds` after it was given it; `waited` is how long each change did."""
        at = self._wall()
        for change, traced in zip(self._changes, self.traced, strict=True):
            change.end(at, outcome, failed=False)
            found = trace_id(traced.context)
            self._metrics.append_seconds.show(append_seconds, found, at)
            self._metrics.ingest_to_confirm.show(waited[change.index], found, at)

    def stored(self, outcome: str) -> None:
        """The spool has the batch, and the log will get it later."""
        at = self._wall()
        for change in self._changes:
            change.end(at, outcome, failed=False)


class ChangeTraces:
    """Decides which changes are traced: `ratio` of the batches with none that came so. `wall` is in Unix seconds."""

    def __init__(
        self,
        tracer: Tracer,
        ratio: float,
        metrics: PublisherMetrics,
        wall: Callable[[], float],
        chance: Callable[[], float] = random,
    ) -> None:
        self._tracer = tracer
        self._ratio = ratio
        self._metrics = metrics
        self._wall = wall
        self._chance = chance

    def begin(self, changes: Sequence[Change], shard: int, batch: str) -> TracedBatch | None:
        """A batch of this name is about to be appended; None where nothing in it is traced."""
        came = ((index, found) for index, change in enumerate(changes) if (found := context_of(change)) is not None)
        picked: list[tuple[int, bytes | None]] = [*islice(came, MAX_TRACED)]
        if not picked:
            if self._chance() >= self._ratio:
                return None
            picked = [(0, None)]
        now = self._wall()
        about: dict[str, str | int] = {
            "tidings.shard": shard,
            "tidings.batch": batch,
            "tidings.batch.changes": len(changes),
        }
        begun = [self._begin(index, changes[index], parent, now, about) for index, parent in picked]
        return TracedBatch(begun, self._metrics, self._wall)

    def _begin(
        self, index: int, change: Change, parent: bytes | None, now: float, about: Mapping[str, str | int]
    ) -> _TracedChange:
        ingested = min(change.ingested or now, now)
        if parent is None and change.time is not None and change.time <= ingested and not is_far(change):
            storage = self._tracer.begin("storage", "producer", None, change.time, {})
            storage.end(ingested)
            parent = storage.context
        # Of whom it is no word: collectors are for more eyes than mail is.
        event = {
            "cloudevents.event_id": change.id[:MAX_CHARS],
            "cloudevents.event_source": change.source[:MAX_CHARS],
            "cloudevents.event_type": change.event[:MAX_CHARS],
        }
        ingest = self._tracer.begin("ingest", "consumer", parent, ingested, event)
        return _TracedChange(index, ingest, self._tracer.begin("append", "producer", ingest.context, now, about))
