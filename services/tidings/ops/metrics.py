"""Metrics that cost the hot path nothing but an addition: plain ints, read when somebody scrapes.

An `observe` of the client library costs 1.6 us, a write to a socket 2.6 us.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Merge = Callable[[float, float], float]
"""What two workers' values of a gauge are together."""
added: Final[Merge] = operator.add

OF_PROCESS: Final[Mapping[str, Merge]] = {
    "process_virtual_memory_bytes": added,
    "process_resident_memory_bytes": added,
    "process_open_fds": added,
    "process_max_fds": added,
    # That of the newest: a restart of any worker shows as a change.
    "process_start_time_seconds": max,
    # 1 says that the labels are so.
    "python_info": max,
}
"""How the gauges of `new_registry` merge."""

LATENCY_SECONDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)


def new_registry() -> CollectorRegistry:
    """A registry with the metrics every process has."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


Bucket = tuple[str, float] | tuple[str, float, Exemplar]
"""An upper bound, how many there are up to it, and perhaps an example."""


class PlainHistogram:
    """Counts by upper bound, in seconds. A bucket may have an example: an observation of a trace."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum")

    def __init__(self, bounds: Sequence[float] = LATENCY_SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._exemplars: dict[int, Exemplar] = {}
        self._sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Take `count` equal observations."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    def show(self, value: float, trace_id: str, at: float) -> None:
        """Have an observation, which is taken besides, as the example of its bucket; `at` is in Unix seconds."""
        self._exemplars[bisect_left(self._bounds, value)] = Exemplar({"trace_id": trace_id}, value, at)

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        return list(zip([*map(str, self._bounds), "+Inf"], accumulate(self._counts), strict=True))

    def shown(self) -> Sequence[Bucket]:
        """The same, with the examples that there are."""
        if not self._exemplars:
            return self.buckets()
        # It grows meanwhile: who scrapes is another thread.
        shown = dict(self._exemplars)
        return [(*each, shown[number]) if number in shown else each for number, each in enumerate(self.buckets())]

    @property
    def sum(self) -> float:
        """The sum of all observations."""
        return self._sum


class Gauge(GaugeMetricFamily):
    """A gauge that says how it merges over the workers of a process."""

    def __init__(self, name: str, help_text: str, merged: Merge, labels: Sequence[str] | None = None) -> None:
        super().__init__(name, help_text, labels=labels)
        self.merged = merged


def merges(registry: CollectorRegistry) -> dict[str, Merge]:
    """How the gauges of a registry merge, by name: those of `new_registry`, and those that `HotMetrics` has."""
    declared = {metric.name: metric.merged for metric in registry.collect() if isinstance(metric, Gauge)}
    return {**OF_PROCESS, **declared}


ReadLabelled = Callable[[], Mapping[str, float] | Mapping[tuple[str, ...], float]]
"""Reads numbers by the value of a label, or by the values of several."""


def _add(family: CounterMetricFamily | Gauge, read: ReadLabelled) -> Metric:
    for values, number in dict(read()).items():
        family.add_metric([values] if isinstance(values, str) else values, number)
    return family


class HotMetrics(Collector):
    """Reads values where they are kept. Names without `_total`, as the client library wants them.

    Whoever makes a gauge says how those of several workers merge: `added` where a sum means something.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reads: list[Callable[[], Metric]] = []
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        return (read() for read in self._reads)

    def counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._reads.append(lambda: CounterMetricFamily(name, help_text, value=read()))

    def gauge(self, name: str, help_text: str, read: Callable[[], float], *, merged: Merge) -> None:
        """Expose a value that goes up and down."""

        def family() -> Metric:
            metric = Gauge(name, help_text, merged)
            metric.add_metric([], read())
            return metric

        self._reads.append(family)

    def labelled_counter(self, name: str, help_text: str, labels: Sequence[str], read: ReadLabelled) -> None:
        """Expose counts by the values of labels; there must be few of them."""
        self._reads.append(lambda: _add(CounterMetricFamily(name, help_text, labels=labels), read))

    def labelled_gauge(
        self, name: str, help_text: str, labels: Sequence[str], read: ReadLabelled, *, merged: Merge
    ) -> None:
        """Expose values that go up and down, by the values of labels; there must be few of them."""
        self._reads.append(lambda: _add(Gauge(name, help_text, merged, labels), read))

    def labelled_histogram(self, name: str, help_text: str, label: str, plain: Mapping[str, PlainHistogram]) -> None:
        """Expose histograms by the value of one label."""

        def family() -> Metric:
            metric = HistogramMetricFamily(name, help_text, labels=[label])
            for value, histogram in plain.items():
                metric.add_metric([value], histogram.buckets(), histogram.sum)
            return metric

        self._reads.append(family)

    def histogram(self, name: str, help_text: str, plain: PlainHistogram) -> None:
        self._reads.append(lambda: HistogramMetricFamily(name, help_text, buckets=plain.shown(), sum_value=plain.sum))
