from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidings.ops.admin.variables import variables
from tidings.ops.metrics import HotMetrics, PlainHistogram


def test_values_by_name_and_by_label() -> None:
    registry = CollectorRegistry()
    Counter("pushes", "", registry=registry).inc(3)
    closed = Counter("closed", "", ["format", "reason"], registry=registry)
    closed.labels("websocket", "eof").inc()
    Gauge("load", "", registry=registry).set(0.5)
    assert variables(registry.collect()) == {"pushes_total": 3, "closed_total": {"websocket,eof": 1}, "load": 0.5}


def test_labels_without_values_yet_are_an_empty_object() -> None:
    registry = CollectorRegistry()
    Counter("closed", "", ["reason"], registry=registry)
    Gauge("open", "", ["format"], registry=registry)
    assert variables(registry.collect()) == {"closed_total": {}, "open": {}}


def test_a_histogram_has_its_count_whoever_collected_it() -> None:
    registry = CollectorRegistry()
    Histogram("seconds", "", buckets=(1.0,), registry=registry).observe(0.5)
    plain = PlainHistogram((1.0,))
    plain.observe(2.0, 4)
    metrics = HotMetrics(registry)
    metrics.histogram("plain", "", plain)
    metrics.labelled_histogram("parted", "", "part", {"a": plain})
    told = variables(registry.collect())
    assert told["seconds"] == {"count": 1, "sum": 0.5, "buckets": {"1.0": 1, "+Inf": 1}}
    assert told["plain"] == {"count": 4, "sum": 8, "buckets": {"1.0": 0, "+Inf": 4}}
    assert told["parted"] == {"a": told["plain"]}


def test_what_json_has_no_word_for_is_null() -> None:
    registry = CollectorRegistry()
    Gauge("load", "", registry=registry).set(float("nan"))
    assert json.dumps(variables(registry.collect()), allow_nan=False) == '{"load": null}'
