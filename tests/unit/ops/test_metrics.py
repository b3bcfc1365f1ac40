from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tidings.ops.metrics import HotMetrics, PlainHistogram, added, merges, new_registry


def test_plain_values_are_read_when_scraped() -> None:
    registry = CollectorRegistry()
    metrics = HotMetrics(registry)
    counts = {"a": 1}
    open_now = 3
    metrics.counter("made", "Made.", lambda: counts["a"])
    metrics.gauge("open", "Open.", lambda: open_now, merged=added)
    metrics.labelled_counter("closed", "Closed.", ["reason"], lambda: counts)
    parked: dict[tuple[str, ...], float] = {("poll", "idle"): 7}
    metrics.labelled_gauge("parked", "Parked.", ["format", "state"], lambda: parked, merged=added)
    assert registry.get_sample_value("made_total") == 1
    counts["b"] = 5
    open_now = 4
    assert registry.get_sample_value("open") == 4
    assert registry.get_sample_value("closed_total", {"reason": "b"}) == 5
    assert registry.get_sample_value("parked", {"format": "poll", "state": "idle"}) == 7


def test_a_histogram_counts_as_the_client_librarys_would() -> None:
    registry = CollectorRegistry()
    plain = PlainHistogram((0.1, 1.0))
    HotMetrics(registry).histogram("took_seconds", "Took.", plain)
    for value, count in ((0.05, 1), (0.1, 2), (0.5, 3), (2.0, 4)):
        plain.observe(value, count)
    at_most = {
        bound: registry.get_sample_value("took_seconds_bucket", {"le": bound}) for bound in ("0.1", "1.0", "+Inf")
    }
    assert at_most == {"0.1": 3, "1.0": 6, "+Inf": 10}
    assert registry.get_sample_value("took_seconds_count") == 10
    assert registry.get_sample_value("took_seconds_sum") == 0.05 + 0.2 + 1.5 + 8.0


def test_every_process_tells_of_itself_in_a_format_that_parses() -> None:
    families = {family.name for family in text_string_to_metric_families(generate_latest(new_registry()).decode())}
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "python_info"} <= families


def test_each_gauge_says_how_it_merges() -> None:
    registry = new_registry()
    metrics = HotMetrics(registry)
    metrics.gauge("least", "Least.", lambda: 0, merged=min)
    metrics.labelled_gauge("furthest", "Furthest.", ["shard"], dict, merged=max)
    metrics.counter("made", "Made.", lambda: 0)
    declared = merges(registry)
    assert (declared["least"], declared["furthest"], declared["process_start_time_seconds"]) == (min, max, max)
    assert declared.keys() == {metric.name for metric in registry.collect() if metric.type == "gauge"}


def test_a_histogram_shows_the_latest_trace_of_each_bucket_to_those_who_read_openmetrics() -> None:
    registry = CollectorRegistry()
    plain = PlainHistogram((0.1, 1.0))
    HotMetrics(registry).histogram("took_seconds", "Took.", plain)
    for value in (0.05, 0.06, 5.0):
        plain.observe(value)
    plain.show(0.05, "01", 7.0)
    plain.show(0.06, "02", 8.0)
    plain.show(5.0, "03", 9.0)
    told = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    lines = told.splitlines()
    assert [line for line in lines if "bucket" in line] == [
        'took_seconds_bucket{le="0.1"} 2.0 # {trace_id="02"} 0.06 8.0',
        'took_seconds_bucket{le="1.0"} 2.0',
        'took_seconds_bucket{le="+Inf"} 3.0 # {trace_id="03"} 5.0 9.0',
    ]
    assert "#" not in generate_latest(registry).decode().replace("# HELP", "").replace("# TYPE", "")
