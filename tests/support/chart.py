"""The charts, rendered by Helm's own engine: the objects that a release is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
UMBRELLA = ROOT / "deploy" / "helm"
TIDINGS = ROOT / "charts" / "tidings"
RABBITMQ = ROOT / "charts" / "rabbitmq"
RELEASE = "tidings"
NAMESPACE = "mail"

Object = dict[str, Any]

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


@dataclass(frozen=True)
class Rendered:
    """The objects of a release, and what Helm prints."""

    objects: list[Object]
    notes: str

    @classmethod
    def of_files(cls, files: Mapping[str, str]) -> Self:
        """What Helm rendered, by template."""
        # Helm prints the notes of the chart itself, and of no chart in it.
        notes = min((name for name in files if name.endswith("NOTES.txt")), key=len)
        manifests = (text for name, text in files.items() if not name.endswith("NOTES.txt"))
        return cls([each for text in manifests for each in yaml.safe_load_all(text) if each], files[notes])

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def get(self, kind: str, name: str) -> Object:
        """The object of this kind and name, which has to be there once."""
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"] == name)
        return found

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Every pod that the release makes: a name for it, and its template."""
        for each in self.objects:
            if each["kind"] == "Pod":
                yield f"Pod {each['metadata']['name']}", each
            elif "template" in each.get("spec", {}):
                yield f"{each['kind']} {each['metadata']['name']}", each["spec"]["template"]


@cache
def _rendered(chart: Path, values: str) -> Rendered:
    given = json.loads(values)
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(given)
        return Rendered.of_files(loaded.render(given, name=RELEASE, namespace=NAMESPACE, revision=1, is_install=True))


def render(chart: Path = UMBRELLA, *values: Mapping[str, Any]) -> Rendered:
    """Render as `helm install tidings CHART --namespace mail` does, values checked by the schema first.

    Raises helm_python's HelmValuesError and HelmRenderError.
    """
    return _rendered(chart, json.dumps(merged(*values), sort_keys=True))


def variants() -> dict[str, Rendered]:
    """Every file of values that the charts have, rendered."""
    umbrella = {
        name: render(UMBRELLA, *(load(UMBRELLA / each) for each in files)) for name, files in UMBRELLA_VALUES.items()
    }
    switches = {
        f"{chart.name}/{path.name}": render(chart, load(path))
        for chart in (RABBITMQ, TIDINGS)
        for path in sorted(chart.glob("ci/*-values.yaml"))
    }
    return umbrella | switches
