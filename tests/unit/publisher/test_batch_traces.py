from __future__ import annotations

import pytest

from asyncio_pprof.traces import Family, Sampler
from tidings.publisher.batch_traces import SLOW_SECONDS, BatchTraces
from tidings.wire.batch import is_traced
from tidings.wire.change import Change

CHANGES = (Change("alice", {"Email": None}, "MessageNew", "1", "test", ingested=1_000.0),)
ID = bytes(range(16))


@pytest.fixture
def family() -> Family:
    return Family("batches", "")


@pytest.fixture
def traces(family: Family) -> BatchTraces:
    return BatchTraces(family, Sampler(every=2, seconds=1e9))


def test_one_in_so_many_batches_is_marked(traces: BatchTraces) -> None:
    assert [is_traced(traces.mark(ID, float(now))) for now in range(4)] == [True, False, True, False]


def test_a_batch_of_a_request_that_is_followed_is_marked_too(traces: BatchTraces) -> None:
    traces.mark(ID, 0.0)
    assert is_traced(traces.mark(ID, 1.0, wanted=True))
    assert is_traced(traces.mark(ID, 2.0)), "the sample is the same"


def test_a_batch_that_is_followed_is_written_down_at_its_confirm(traces: BatchTraces, family: Family) -> None:
    followed = traces.mark(ID, 0.0)
    # On the monotonic clock, which shows 50 at 1,000.5 of the other, it was ingested at 49.5.
    traces.ended(followed, CHANGES, since=49.6, started=49.75, now=50.0, wall=1_000.5, how="confirmed by the log")
    (trace,) = family.done(5)
    assert trace.title == "batch 00010203, 1 changes"
    assert [(round(at, 3), stage) for at, stage in trace.events] == [
        (0.1, "validated, waits for its batch"),
        (0.25, "appended"),
        (0.5, "confirmed by the log"),
    ]
    assert family.active() == ()


def test_a_batch_that_is_not_followed_leaves_nothing_unless_it_was_slow(traces: BatchTraces, family: Family) -> None:
    traces.mark(ID, 0.0)
    unmarked = traces.mark(ID, 0.0)
    traces.ended(unmarked, CHANGES, 49.95, 49.96, 50.0, 1_000.5, "confirmed by the log")
    assert family.counts() == (0, (0,) * 8, 0, 0)
    traces.ended(unmarked, CHANGES, 49.95, 49.96, 49.95 + SLOW_SECONDS, 1_000.5, "confirmed by the log")
    assert family.counts() == (0, (0, 0, 0, 0, 0, 1, 0, 0), 0, 0)


def test_a_source_that_does_not_tell_when_it_took_a_change(traces: BatchTraces, family: Family) -> None:
    changes = (Change("alice", {"Email": None}, "MessageNew", "1", "test"),)
    traces.failed(changes, since=49.6, now=50.0, wall=1_000.5, why="the log is away")
    (trace,) = family.failed()
    assert trace.began == 49.6


def test_every_batch_that_fails_is_kept(traces: BatchTraces, family: Family) -> None:
    traces.failed(CHANGES, since=49.6, now=50.0, wall=1_000.5, why="the log is away")
    (trace,) = family.failed()
    assert trace.events[-1] == (0.5, "not confirmed: the log is away")
