"""The charts, rendered by Helm's own engine: the objects that a release is made of."""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

from tests.support.kubernetes import cluster
from tests.support.rendered import NAMESPACE, RELEASE, Rendered

ROOT = Path(__file__).resolve().parents[2]
UMBRELLA = ROOT / "deploy" / "helm"
TIDINGS = ROOT / "charts" / "tidings"
RABBITMQ = ROOT / "charts" / "rabbitmq"
UMBRELLA_VALUES: dict[str, tuple[str, ...]] = {
    "values.yaml": (),
    "values-dev.yaml": ("values-dev.yaml",),
    "values-production.yaml": ("values-production.yaml",),
    "values-million.yaml": ("values-production.yaml", "values-million.yaml"),
}
"""For each file of values the files that it is used with."""


def merged(*values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Helm puts them over each other."""
    result: dict[str, Any] = {}
    for each in values:
        for key, value in each.items():
            below = result.get(key)
            both = isinstance(value, Mapping) and isinstance(below, Mapping)
            result[key] = merged(below, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result


def load(path: Path) -> dict[str, Any]:
    """A file of values."""
    values = yaml.safe_load(path.read_text())
    assert isinstance(values, dict)
    return values


@cache
def _config() -> helm.Config:
    """A cluster without anything in it, which is there until the process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(cluster()).config


def files(chart: helm.Chart, values: Mapping[str, Any], name: str = RELEASE) -> dict[str, str]:
    """What `helm install NAME CHART --namespace mail` renders on a cluster without anything in it, by template."""
    return _config().render(chart, dict(values), name=name, namespace=NAMESPACE, revision=1, is_install=True)


@cache
def _rendered(chart: Path, values: str) -> Rendered:
    given = json.loads(values)
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(given)
        return Rendered.of_files(files(loaded, given))


def render(chart: Path = UMBRELLA, *values: Mapping[str, Any]) -> Rendered:
    """Render as `helm install tidings CHART --namespace mail` does, values checked by the schema first.

    Raises helm_python's HelmValuesError and HelmRenderError.
    """
    return _rendered(chart, json.dumps(merged(*values), sort_keys=True))


def _variants() -> dict[str, tuple[Path, list[Path]]]:
    umbrella = {name: (UMBRELLA, [UMBRELLA / each for each in files]) for name, files in UMBRELLA_VALUES.items()}
    switches = {
        f"{chart.name}/{path.name}": (chart, [path])
        for chart in (RABBITMQ, TIDINGS)
        for path in sorted(chart.glob("ci/*-values.yaml"))
    }
    return umbrella | switches


VARIANTS = _variants()
"""Every file of values that the charts have: its chart, and the files that it is used with."""


@cache
def variant(name: str) -> Rendered:
    """One of VARIANTS, rendered."""
    chart, files = VARIANTS[name]
    return render(chart, *map(load, files))
