"""What an alert is. Its threshold stands in its condition by name, so that the chart's values can put another there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RUNBOOKS: Final = "https://tidings.example/runbooks/"
"""Where the site has the runbooks: an example. The chart replaces it by `metrics.prometheusRule.runbookUrl`."""

THRESHOLD: Final = "THRESHOLD"
"""What a condition has in place of its threshold."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition in PromQL that must hold for `hold`, and what it means; `description` is a Prometheus template."""

    name: str
    condition: str
    hold: str
    severity: Literal["critical", "warning"]
    summary: str
    description: str
    threshold: float | None = None

    @property
    def expr(self) -> str:
        """The condition with its own threshold."""
        return self.condition if self.threshold is None else self.condition.replace(THRESHOLD, f"{self.threshold:g}")

    def rule(self) -> dict[str, object]:
        """The alert as an element of a rule file."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}{self.name}.html",
            },
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts that are evaluated together."""

    name: str
    alerts: tuple[Alert, ...]
