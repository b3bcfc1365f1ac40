from __future__ import annotations

import pytest

from asyncio_pprof.traces import Book, Family
from asyncio_pprof.traces.book import KEPT, MOST_ACTIVE, MOST_EVENTS
from asyncio_pprof.traces.views import listing, seconds, summary, values


@pytest.fixture
def family() -> Family:
    return Family("things", "from here to there")


def test_a_trace_is_filed_by_how_long_it_took_and_goes_on(family: Family) -> None:
    trace = family.begin("one", 100.0)
    trace.mark(100.002, "halfway")
    family.settle(trace, 100.003)
    family.settle(trace, 107.0)
    assert family.done(1) == (trace,)
    assert family.counts() == (1, (0, 1, 0, 0, 0, 0, 0, 0), 0, 0)
    trace.mark(160.0, "end")
    family.end(trace)
    family.end(trace)
    assert family.active() == ()
    assert family.done(1)[0].events[-1] == (60.0, "end")


def test_a_clock_that_went_back_counts_as_no_time(family: Family) -> None:
    trace = family.begin("one", 100.0)
    family.settle(trace, 99.0)
    assert trace.latency == 0.0
    assert family.done(0) == (trace,)


def test_errors_are_kept_apart(family: Family) -> None:
    trace = family.begin("bad", 1.0)
    family.fail(trace, 1.5, "rejected")
    assert family.failed() == (trace,)
    assert family.counts() == (0, (0,) * 8, 0, 1)
    assert trace.events == [(0.5, "rejected")]


def test_no_error_makes_room_for_rejections(family: Family) -> None:
    error = family.begin("bad", 1.0)
    family.fail(error, 1.5, "failed")
    for number in range(KEPT * 3):
        family.reject(family.begin(str(number), 2.0), 2.5, "rejected")
    assert family.failed() == (error,)
    assert len(family.rejected()) == KEPT
    assert family.rejected()[0].title == str(KEPT * 3 - 1)
    assert family.counts() == (0, (0,) * 8, KEPT * 3, 1)


def test_memory_is_bounded(family: Family) -> None:
    for number in range(KEPT * 3):
        family.settle(family.begin(str(number), 0.0), 0.0)
        family.fail(family.begin(str(number), 0.0), 0.0, "no")
    assert len(family.done(0)) == len(family.failed()) == KEPT
    assert family.done(0)[0].title == str(KEPT * 3 - 1)
    trace = family.active()[0]
    for _ in range(MOST_EVENTS * 2):
        trace.mark(0.0, "again")
    assert len(trace.events) == MOST_EVENTS
    while not family.is_full:
        family.begin("more", 0.0)
    assert len(family.active()) == MOST_ACTIVE


def test_a_book_opens_each_family_once() -> None:
    book = Book()
    family = book.family("things", "what")
    assert book.family("things", "what else") is family
    assert book.families() == (family,)
    assert book.get("things") is family
    assert book.get("others") is None


@pytest.mark.parametrize(
    ("value", "told"), [(0.0000124, "12 µs"), (0.0009999, "1.0 ms"), (0.2345, "234.5 ms"), (61.0, "61.00 s")]
)
def test_times_have_units(value: float, told: str) -> None:
    assert seconds(value) == told


def test_the_page_leads_from_numbers_to_traces(family: Family) -> None:
    trace = family.begin("<b>one</b>", 100.0)
    trace.mark(100.002, "<i>halfway</i>")
    shown = summary([family])
    assert 'href="requests?family=things&amp;show=active">1</a>' in shown
    assert "<td>0" in shown
    told = listing([trace], 101.0)
    assert "&lt;b&gt;one" in told
    assert "&lt;i&gt;halfway" in told
    assert "under way" in told
    family.settle(trace, 100.004)
    assert "took 4.0 ms" in listing([trace], 101.0)
    trace.error = True
    assert "failed" in listing([trace], 101.0)


def test_values_for_json(family: Family) -> None:
    trace = family.begin("one", 100.0)
    trace.mark(100.002, "halfway")
    (before,) = values([trace], 101.0)
    assert before == {
        "title": "one",
        "age_seconds": 1.0,
        "latency_seconds": None,
        "error": False,
        "stages": [{"at_seconds": 0.002, "stage": "halfway"}],
    }
    family.settle(trace, 100.004)
    assert values([trace], 101.0)[0]["latency_seconds"] == pytest.approx(0.004)
