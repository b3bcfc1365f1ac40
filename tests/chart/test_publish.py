"""The charts as others get them: packaged, and pushed to and pulled from a registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import helm_python as helm
import pytest

from tests.support.chart import RABBITMQ, TIDINGS, UMBRELLA, files, render
from tests.support.registry import registry as serving_registry
from tests.support.rendered import Rendered


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with serving_registry() as name:
        yield name


@pytest.mark.parametrize("chart", [UMBRELLA, TIDINGS, RABBITMQ], ids=lambda chart: chart.name)
def test_a_chart_is_pushed_pulled_and_the_same(chart: Path, registry: str, tmp_path: Path) -> None:
    archive = Path(helm.package(chart, destination=tmp_path))
    name = archive.name.rpartition("-")[0]
    with helm.RegistryClient(plain_http=True, credentials_file=tmp_path / "credentials") as client:
        client.push(archive, f"oci://{registry}/charts", plain_http=True)
        assert client.tags(f"{registry}/charts/{name}") == ["0.1.0"]
        pulled = tmp_path / "pulled"
        pulled.mkdir()
        client.pull(f"oci://{registry}/charts/{name}", destination=pulled, version="0.1.0", plain_http=True)
    with helm.Chart.load(pulled / archive.name) as loaded:
        rendered = Rendered.of_files(files(loaded, {}))
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]
    assert names == [(each["kind"], each["metadata"]["name"]) for each in render(chart).objects]
