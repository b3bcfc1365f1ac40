"""Queries of dashboards: what is selected, by which variables."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = 'namespace=~"$namespace"'
INSTANCE = 'instance=~"$instance"'


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and how its series are called in the legend."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The series that a dashboard shows: those of the namespace, and perhaps of the instance, chosen above it."""

    matchers: tuple[str, ...]

    def select(self, metric: str, *matchers: str) -> str:
        """A metric's series."""
        return f"{metric}{{{','.join((*self.matchers, *matchers))}}}"

    def total(self, metric: str, *matchers: str, by: str = "") -> str:
        """The sum of a gauge."""
        return f"sum{_by(by)} ({self.select(metric, *matchers)})"

    def rate(self, counter: str, *matchers: str, by: str = "") -> str:
        """How much counters grow, per second."""
        return f"sum{_by(by)} (rate({self.select(counter, *matchers)}[$__rate_interval]))"

    def quantile(self, share: float, histogram: str, *matchers: str, by: str = "") -> str:
        """A quantile of a histogram."""
        labels = f"le, {by}" if by else "le"
        return f"histogram_quantile({share}, {self.rate(f'{histogram}_bucket', *matchers, by=labels)})"

    def percentiles(self, histogram: str, name: str, *shares: int) -> tuple[Query, ...]:
        """Percentiles of a histogram."""
        return tuple(Query(self.quantile(share / 100, histogram), f"{name} p{share}") for share in shares)


INSTALLATION = Scope((NAMESPACE,))
PROCESS = Scope((NAMESPACE, INSTANCE))


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
