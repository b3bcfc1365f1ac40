from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from tidings.ops.metrics import HotMetrics, PlainHistogram, added, merges
from tidings.ops.process.workers.merging import Answer, Totals


class Worker:
    """What a worker counts; `told` is that as the admin process reads it."""

    def __init__(self, incarnation: int = 1) -> None:
        self.incarnation = incarnation
        self.pushes = 0
        self.open = 0
        self.least = 0.0
        self.silent: dict[str, float] = {}
        self.closed: dict[str, int] = {}
        self.took = PlainHistogram((0.1, 1.0))
        self._registry = CollectorRegistry()
        metrics = HotMetrics(self._registry)
        metrics.counter("pushes", "Pushes.", lambda: self.pushes)
        metrics.gauge("open", "Open.", lambda: self.open, merged=added)
        metrics.gauge("least", "Least.", lambda: self.least, merged=min)
        metrics.labelled_gauge("silent_seconds", "Silent.", ["shard"], lambda: self.silent, merged=max)
        self.merges = merges(self._registry)
        metrics.labelled_counter("closed", "Closed.", "reason", lambda: self.closed)
        metrics.histogram("took_seconds", "Took.", self.took)

    def told(self) -> Answer:
        text = generate_latest(self._registry).decode()
        return Answer(self.incarnation, tuple(text_string_to_metric_families(text)))


def values(metrics: list[Metric]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(sample.name, tuple(sample.labels.values())): sample.value for m in metrics for sample in m.samples}


class Fixed(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def test_counters_histograms_and_gauges_are_summed() -> None:
    one, two = Worker(), Worker()
    one.pushes, two.pushes = 3, 4
    one.open, two.open = 10, 20
    one.closed, two.closed = {"eof": 1, "reset": 2}, {"reset": 5, "pong": 1}
    one.took.observe(0.05, 2)
    two.took.observe(0.5, 3)
    two.took.observe(7.0)
    merged = Totals(Worker().merges).merge({1: one.told(), 2: two.told()})
    total = values(merged)
    assert total["pushes_total", ()] == 7
    assert total["open", ()] == 30
    assert {reason: total["closed_total", (reason,)] for reason in ("eof", "reset", "pong")} == {
        "eof": 1,
        "reset": 7,
        "pong": 1,
    }
    assert [total["took_seconds_bucket", (le,)] for le in ("0.1", "1.0", "+Inf")] == [2, 5, 6]
    assert total["took_seconds_count", ()] == 6
    assert total["took_seconds_sum", ()] == 0.05 * 2 + 0.5 * 3 + 7.0


def test_what_is_merged_is_exposed_as_one_workers_would_be() -> None:
    one, two = Worker(), Worker()
    one.took.observe(0.5)
    alone = generate_latest(Fixed(list(one.told().families))).decode()
    both = generate_latest(Fixed(Totals(Worker().merges).merge({1: one.told(), 2: two.told()}))).decode()
    assert both == alone


def test_a_gauge_is_merged_as_its_owner_says_for_each_label() -> None:
    one, two = Worker(), Worker()
    one.least, two.least = 7, 3
    one.silent, two.silent = {"1": 20.0, "2": 0.5}, {"1": 0.5}
    total = values(Totals(one.merges).merge({1: one.told(), 2: two.told()}))
    assert total["least", ()] == 3
    assert (total["silent_seconds", ("1",)], total["silent_seconds", ("2",)]) == (20.0, 0.5)


def test_a_gauge_of_nobody_is_summed() -> None:
    one, two = Worker(), Worker()
    one.least, two.least = 7, 3
    assert values(Totals({}).merge({1: one.told(), 2: two.told()}))["least", ()] == 10


def test_a_dead_workers_counts_stay_and_its_gauges_go() -> None:
    totals = Totals(Worker().merges)
    one, two = Worker(), Worker()
    one.pushes, two.pushes, one.open, two.open, two.closed = 3, 4, 10, 20, {"odd": 1}
    totals.merge({1: one.told(), 2: two.told()})
    gone = values(totals.merge({1: one.told()}))
    assert (gone["pushes_total", ()], gone["open", ()], gone["closed_total", ("odd",)]) == (7, 10, 1)
    successor = Worker(incarnation=2)
    successor.pushes, successor.open = 1, 5
    for _ in range(2):
        after = values(totals.merge({1: one.told(), 2: successor.told()}))
        assert (after["pushes_total", ()], after["open", ()], after["closed_total", ("odd",)]) == (8, 15, 1)


def test_a_silent_worker_keeps_its_counts() -> None:
    totals = Totals(Worker().merges)
    one = Worker()
    one.pushes, one.open = 3, 10
    totals.merge({1: one.told()})
    silent = values(totals.merge({}))
    assert silent["pushes_total", ()] == 3
    assert ("open", ()) not in silent
    one.pushes = 5
    assert values(totals.merge({1: one.told()}))["pushes_total", ()] == 5


def test_nobody_has_told_anything() -> None:
    assert Totals(Worker().merges).merge({}) == []


EVENTS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["count", "die"]), st.sets(st.integers(1, 3))), max_size=30
)


@given(EVENTS)
def test_sums_never_shrink_and_miss_only_what_was_never_told(events: list[tuple[int, str, set[int]]]) -> None:
    totals = Totals(Worker().merges)
    workers: Mapping[int, Worker] = {number: Worker() for number in (1, 2, 3)}
    told: Counter[tuple[int, int]] = Counter()
    before = 0.0
    for number, what, answering in events:
        worker = workers[number]
        if what == "count":
            worker.pushes += 1
        else:
            worker.incarnation, worker.pushes = worker.incarnation + 1, 0
        for each in answering:
            told[each, workers[each].incarnation] = workers[each].pushes
        total = values(totals.merge({each: workers[each].told() for each in answering})).get(("pushes_total", ()), 0)
        assert total == sum(told.values()) >= before
        before = total
