"""Every query that dashboards and alerts make, and what it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from monitoring.__main__ import FILES

VARIABLES = {"$__rate_interval": "1m", "$namespace": ".*", "$instance": ".*"}
TARGET_LABELS = {"namespace", "instance", "job", "tidings_group"}
"""What Prometheus gives to every series, the last of them as the chart's ServiceMonitor tells it (podTargetLabels)."""


@dataclass(frozen=True)
class Written:
    """A query as it is written, and as Grafana would send it."""

    where: str
    expr: str
    alert: str | None = None


@dataclass(frozen=True)
class Selected:
    """A metric that is named, and the labels by which it is narrowed."""

    metric: str
    labels: frozenset[str]


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards that are shipped, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((FILES / "dashboards").glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that ask something."""
    return [panel for panel in dashboard["panels"] if panel.get("targets")]


def rules() -> list[dict[str, Any]]:
    """The rules that are shipped."""
    return [rule for group in yaml.safe_load((FILES / "rules.yaml").read_text())["groups"] for rule in group["rules"]]


def resolved(expr: str) -> str:
    """A query with Grafana's variables filled in."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    return expr


def written() -> Iterator[Written]:
    """Every query."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Written(f"{name}: {panel['title']}", resolved(target["expr"]))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])
                assert asked, variable
                yield Written(f"{name}: ${variable['name']}", resolved(asked[1]))
    for rule in rules():
        yield Written("rules", rule["expr"], rule["alert"])


def selected(expr: str) -> list[Selected]:
    """The metrics that a query names."""
    found: list[Selected] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None
            labels = frozenset(matcher.name for matcher in node.matchers.matchers) - TARGET_LABELS
            found.append(Selected(node.name, labels))

    promql_parser.walk(promql_parser.parse(expr), visit)
    assert found, expr
    return found
