"""Many workers' metrics as one process's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import Metric

from tidings.ops.metrics import Merge, added

CUMULATIVE: Final = frozenset({"counter", "histogram", "summary"})

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""


@dataclass(slots=True)
class Family:
    """A metric with its samples by key, in the order in which they came."""

    documentation: str
    kind: str
    unit: str
    samples: dict[Key, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker told; `incarnation` tells it from the one that had its number before."""

    incarnation: int
    families: tuple[Metric, ...]


class Totals:
    """Adds up what workers tell.

    The sums of what only grows never shrink, since Prometheus would take that for a restart of everything: what a
    dead worker counted stays in them, and so does what a silent one last told. Gauges are those of the workers that
    answered; `merges` say by name how, and all others are summed.
    """

    def __init__(self, merges: Mapping[str, Merge]) -> None:
        self._merges = merges
        self._last: dict[int, Answer] = {}
        self._departed: dict[str, Family] = {}

    def merge(self, answers: Mapping[int, Answer]) -> list[Metric]:
        """The total, after these answers by worker's number."""
        for number, answer in answers.items():
            before = self._last.get(number)
            if before is not None and before.incarnation != answer.incarnation:
                self._add(self._departed, _cumulative(before))
            self._last[number] = answer
        total: dict[str, Family] = {}
        for number, answer in self._last.items():
            self._add(total, answer.families if number in answers else _cumulative(answer))
        # After the living, so that their order of families and buckets holds.
        for name, family in self._departed.items():
            self._merge(total, name, family)
        return [_metric(name, family) for name, family in total.items()]

    def _add(self, total: dict[str, Family], metrics: Iterable[Metric]) -> None:
        for metric in metrics:
            samples = {(sample.name, tuple(sample.labels.items())): sample.value for sample in metric.samples}
            self._merge(total, metric.name, Family(metric.documentation, metric.type, metric.unit, samples))

    def _merge(self, total: dict[str, Family], name: str, family: Family) -> None:
        known = total.setdefault(name, Family(family.documentation, family.kind, family.unit))
        combine = self._merges.get(name, added)
        for key, value in family.samples.items():
            present = known.samples.get(key)
            known.samples[key] = value if present is None else combine(present, value)


def _cumulative(answer: Answer) -> Iterable[Metric]:
    return (metric for metric in answer.families if metric.type in CUMULATIVE)


def _metric(name: str, family: Family) -> Metric:
    metric = Metric(name, family.documentation, family.kind, family.unit)
    for (sample, labels), value in family.samples.items():
        metric.add_sample(sample, dict(labels), value)
    return metric
