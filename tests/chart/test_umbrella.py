"""As a part of somebody's umbrella: beside charts that we know nothing of."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import helm_python as helm
import pytest
import yaml

from tests.support.chart import RABBITMQ, TIDINGS, UMBRELLA
from tests.support.rendered import NAMESPACE, RELEASE, Rendered

PREFIXES = {RABBITMQ: "tidings-rabbitmq.", TIDINGS: "tidings."}
SECRETS = {
    "auth": {"existingSecret": "clients"},
    "ingest": {"existingSecret": "storages"},
    "rabbitmq": {"auth": {"existingSecret": "broker"}},
}


def defined(chart: Path) -> set[str]:
    """Names of a chart's templates, which are those of every chart in a release."""
    texts = [path.read_text() for path in chart.glob("templates/**/*") if path.is_file()]
    return {name for text in texts for name in re.findall(r'define "([^"]+)"', text)}


def umbrella(where: Path, *others: str) -> Path:
    """A chart whose parts are ours and those others."""
    parts = {"tidings": "0.1.0", **dict.fromkeys(others, "1.0.0")}
    chart = {
        "apiVersion": "v2",
        "name": "mail",
        "version": "1.0.0",
        "dependencies": [{"name": name, "version": version} for name, version in parts.items()],
    }
    copytree(TIDINGS, where / "charts" / "tidings")
    (where / "Chart.yaml").write_text(yaml.safe_dump(chart))
    return where


@pytest.mark.parametrize("chart", PREFIXES, ids=lambda chart: chart.name)
def test_every_template_has_the_charts_prefix(chart: Path) -> None:
    assert {name for name in defined(chart) if not name.startswith(PREFIXES[chart])} == set()


def test_the_release_defines_no_template() -> None:
    assert defined(UMBRELLA) == set()


def test_another_chart_of_the_name_rabbitmq_takes_nothing_from_ours(tmp_path: Path) -> None:
    """Others have a `rabbitmq.fullname`, too, and of two templates of a name Helm takes one for both."""
    alone = umbrella(tmp_path / "alone")
    beside = umbrella(tmp_path / "beside", "rabbitmq")
    other = beside / "charts" / "rabbitmq"
    (other / "templates").mkdir(parents=True)
    (other / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "rabbitmq", "version": "1.0.0"}))
    names = [f"rabbitmq.{name.rpartition('.')[2]}" for name in sorted(defined(RABBITMQ))]
    (other / "templates" / "_helpers.tpl").write_text(
        "\n".join(f'{{{{- define "{name}" -}}}}theirs{{{{- end -}}}}' for name in names)
    )
    (other / "templates" / "configmap.yaml").write_text(
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ include "rabbitmq.fullname" . }}}\n'
    )
    rendered = []
    for chart in (alone, beside):
        with helm.Chart.load(chart) as loaded:
            files = loaded.render({"tidings": SECRETS}, name=RELEASE, namespace=NAMESPACE)
        rendered.append({name: text for name, text in files.items() if "charts/tidings/" in name})
    assert rendered[0] == rendered[1]
    assert "name: theirs" in files["mail/charts/rabbitmq/templates/configmap.yaml"]
    assert Rendered.of_files(rendered[1]).get("StatefulSet", "tidings-rabbitmq")
