"""Metrics as one JSON object, in the manner of Go's expvar. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

UNLABELLED: Final = ""
_HISTOGRAM: Final = ("_bucket", "_count", "_sum")


def variables(metrics: Iterable[Metric]) -> dict[str, Any]:
    """Values by name. With labels, an object by their values, joined by commas; a histogram is an object with `count`,
    `sum` and the cumulative `buckets` by upper bound.
    """
    told: dict[str, Any] = {}
    for metric in metrics:
        if metric.type == "histogram":
            told[metric.name] = _histogram(metric)
            continue
        if not metric.samples:
            # With labels, and no values of them yet.
            told[metric.name + ("_total" if metric.type == "counter" else "")] = {}
        for sample in metric.samples:
            if sample.name.endswith("_created"):
                continue
            labels = _labels(sample)
            if labels == UNLABELLED:
                told[sample.name] = _number(sample.value)
            else:
                told.setdefault(sample.name, {})[labels] = _number(sample.value)
    return told


def _histogram(metric: Metric) -> dict[str, Any]:
    by_labels: dict[str, dict[str, Any]] = {}
    for sample in metric.samples:
        suffix = sample.name.removeprefix(metric.name)
        if suffix not in _HISTOGRAM:
            continue
        one = by_labels.setdefault(_labels(sample), {"count": 0, "sum": 0, "buckets": {}})
        if suffix == "_bucket":
            one["buckets"][sample.labels["le"]] = _number(sample.value)
        else:
            one[suffix[1:]] = _number(sample.value)
    for one in by_labels.values():
        # Not every collector gives a count: it is the last bucket.
        one["count"] = one["buckets"].get("+Inf", one["count"])
    return by_labels.get(UNLABELLED, by_labels)


def _labels(sample: Sample) -> str:
    return ",".join(value for name, value in sample.labels.items() if name != "le")


def _number(value: float) -> float | int | None:
    """JSON has no numbers but the finite."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value
