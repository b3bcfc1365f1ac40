"""Traces of some batches in this publisher, from the ingest of their first change to the confirm. Pure.

A trace is written at its end, from times that are kept anyway: what is not followed costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncio_pprof.traces.book import Family, Trace
from asyncio_pprof.traces.sampling import Sampler
from tidings.wire import batch as batches
from tidings.wire.change import Change

SLOW_SECONDS: Final = 0.1
"""A batch that took so long is kept in any case: the one that somebody looks for is rarely one of the sample."""


def name_of(batch_id: bytes) -> str:
    """What a batch is called, here and in every gateway."""
    return f"batch {batch_id[:4].hex()}"


class BatchTraces:
    """Decides which batches are followed, here and by every gateway, and keeps what becomes of them here.

    Times are seconds: `now` and `since` on the monotonic clock, `wall` since 1970.
    """

    def __init__(self, family: Family, sampler: Sampler) -> None:
        self._family = family
        self._sampler = sampler

    def mark(self, batch_id: bytes, now: float, *, wanted: bool = False) -> bytes:
        """The id that a batch of this random id is to have; `wanted`: a request in it is followed."""
        return batches.marked(batch_id, traced=self._sampler.take(now) or wanted)

    def ended(
        self,
        batch_id: bytes,
        changes: Sequence[Change],
        since: float,
        started: float,
        now: float,
        wall: float,
        how: str,
    ) -> None:
        """A batch is safe, in the log or in the spool; its first change waited from `since` until it `started`."""
        if batches.is_traced(batch_id) or now - since >= SLOW_SECONDS:
            title = f"{name_of(batch_id)}, {len(changes)} changes"
            trace = self._begun(title, changes, since, now, wall)
            trace.mark(started, "appended")
            trace.mark(now, how)
            self._family.settle(trace, now)
            self._family.end(trace)

    def failed(self, changes: Sequence[Change], since: float, now: float, wall: float, why: str) -> None:
        """The log has not confirmed a batch; all of these are kept."""
        trace = self._begun(f"batch of {len(changes)} changes", changes, since, now, wall)
        self._family.fail(trace, now, f"not confirmed: {why}")

    def _begun(self, title: str, changes: Sequence[Change], since: float, now: float, wall: float) -> Trace:
        ingested = changes[0].ingested + now - wall if changes[0].ingested else since
        trace = self._family.begin(title, min(ingested, since))
        trace.mark(since, "validated, waits for its batch")
        return trace
