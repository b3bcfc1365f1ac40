"""Metrics that cost the hot path nothing but an addition: plain ints, read when somebody scrapes.

An `observe` of the client library costs 1.6 us, a write to a socket 2.6 us.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.ops.memory import MemoryAccount

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


class PlainHistogram:
    """Counts by upper bound, in seconds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float] = LATENCY_SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Take `count` equal observations."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        return list(zip([*map(str, self._bounds), "+Inf"], accumulate(self._counts), strict=True))

    @property
    def sum(self) -> float:
        """The sum of all observations."""
        return self._sum


def watch_memory(registry: CollectorRegistry, account: MemoryAccount) -> None:
    """Expose the layers of the memory account: about a millisecond of a scrape."""

    def known(*, of_cgroup: bool) -> dict[str, float]:
        sizes = account.read().sizes
        return {
            name: size for name, size in sizes.items() if size is not None and name.startswith("cgroup") == of_cgroup
        }

    metrics = HotMetrics(registry)
    metrics.labelled_gauge(
        "tidings_memory_bytes", "Memory of this process, by layer", ["layer"], lambda: known(of_cgroup=False)
    )
    metrics.labelled_gauge(
        "tidings_cgroup_memory_bytes",
        "Memory of the container: charged without cache that can be dropped, and the limit",
        ["layer"],
        lambda: known(of_cgroup=True),
    )


ReadLabelled = Callable[[], Mapping[str, float] | Mapping[tuple[str, ...], float]]
"""Reads numbers by the value of a label, or by the values of several."""


def _add(family: CounterMetricFamily | GaugeMetricFamily, read: ReadLabelled) -> Metric:
    for values, number in dict(read()).items():
        family.add_metric([values] if isinstance(values, str) else values, number)
    return family


class HotMetrics(Collector):
    """Reads values where they are kept. Names without `_total`, as the client library wants them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reads: list[Callable[[], Metric]] = []
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        return (read() for read in self._reads)

    def counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Expose a count."""
        self._reads.append(lambda: CounterMetricFamily(name, help_text, value=read()))

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Expose a value that goes up and down."""
        self._reads.append(lambda: GaugeMetricFamily(name, help_text, value=read()))

    def labelled_counter(self, name: str, help_text: str, labels: Sequence[str], read: ReadLabelled) -> None:
        """Expose counts by the values of labels; there must be few of them."""
        self._reads.append(lambda: _add(CounterMetricFamily(name, help_text, labels=labels), read))

    def labelled_gauge(self, name: str, help_text: str, labels: Sequence[str], read: ReadLabelled) -> None:
        """Expose values that go up and down, by the values of labels; there must be few of them."""
        self._reads.append(lambda: _add(GaugeMetricFamily(name, help_text, labels=labels), read))

    def labelled_histogram(self, name: str, help_text: str, label: str, plain: Mapping[str, PlainHistogram]) -> None:
        """Expose histograms by the value of one label."""

        def family() -> Metric:
            metric = HistogramMetricFamily(name, help_text, labels=[label])
            for value, histogram in plain.items():
                metric.add_metric([value], histogram.buckets(), histogram.sum)
            return metric

        self._reads.append(family)

    def histogram(self, name: str, help_text: str, plain: PlainHistogram) -> None:
        """Expose a histogram."""
        self._reads.append(lambda: HistogramMetricFamily(name, help_text, buckets=plain.buckets(), sum_value=plain.sum))
