"""From a fresh clone: nothing has to be fetched, and what is packaged is the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import helm_python as helm
import pytest

from tests.support.chart import NAMESPACE, RABBITMQ, RELEASE, ROOT, TIDINGS, UMBRELLA, Rendered, render

CHARTS = pytest.mark.parametrize("chart", [UMBRELLA, TIDINGS, RABBITMQ], ids=lambda chart: chart.name)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of this work tree would hold: links, not what they lead to."""
    target = tmp_path_factory.mktemp("clone")
    listed = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "charts",
        "deploy",
    ]
    files = subprocess.run(listed, capture_output=True, check=True).stdout
    pack = ["tar", "--create", "--null", "--files-from=-"]
    archive = subprocess.run(pack, input=files, capture_output=True, cwd=ROOT, check=True).stdout
    subprocess.run(["tar", "--extract"], input=archive, cwd=target, check=True)
    return target


def shape(rendered: Rendered) -> list[tuple[str, str]]:
    return [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]


@CHARTS
def test_a_clone_renders_without_a_dependency_step(chart: Path, clone: Path) -> None:
    with helm.Chart.load(clone / chart.relative_to(ROOT)) as loaded:
        rendered = Rendered.of_files(loaded.render({}, name=RELEASE, namespace=NAMESPACE))
    assert shape(rendered) == shape(render(chart))


@CHARTS
def test_dependencies_are_there(chart: Path) -> None:
    assert {each["status"] for each in helm.dependency_list(chart)} <= {"unpacked", "ok"}


@CHARTS
def test_packages_render_the_same_and_hold_no_test_values(chart: Path, clone: Path, tmp_path: Path) -> None:
    archive = helm.package(clone / chart.relative_to(ROOT), destination=tmp_path)
    with helm.Chart.load(archive) as loaded:
        rendered = Rendered.of_files(loaded.render({}, name=RELEASE, namespace=NAMESPACE))
        assert not [each["name"] for each in loaded.files if each["name"].startswith("ci/")]
    assert shape(rendered) == shape(render(chart))


@CHARTS
def test_lint_finds_nothing(chart: Path) -> None:
    report = helm.lint(chart, strict=True)
    messages = [each for each in report["messages"] if "icon is recommended" not in str(each)]
    assert not messages
    assert not report["errors"]
