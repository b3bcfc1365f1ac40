"""From a fresh clone: nothing has to be fetched, and what is packaged is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree

import helm_python as helm
import pytest

from tests.support.chart import RABBITMQ, ROOT, TIDINGS, UMBRELLA, files, render
from tests.support.rendered import Rendered

CHARTS = pytest.mark.parametrize("chart", [UMBRELLA, TIDINGS, RABBITMQ], ids=lambda chart: chart.name)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of this work tree would hold."""
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
        "scripts/chart_vendor.py",
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
        rendered = Rendered.of_files(files(loaded, {}))
    assert shape(rendered) == shape(render(chart))


def vendor(where: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(where / "scripts" / "chart_vendor.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_charts_in_charts_are_those_of_this_repository() -> None:
    assert vendor(ROOT, "--check") == (0, "")


def test_a_chart_that_changes_is_packed_into_all_that_it_is_part_of(clone: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    copytree(clone, copied)
    helpers = copied / "charts" / "rabbitmq" / "templates" / "_helpers.tpl"
    helpers.write_text(helpers.read_text() + "\n{{/* changed */}}\n")
    inner, outer = "charts/tidings/charts/rabbitmq-0.1.0.tgz", "deploy/helm/charts/tidings-0.1.0.tgz"
    copy(copied / inner, copied / "charts" / "tidings" / "charts" / "rabbitmq-0.0.9.tgz")
    status, told = vendor(copied, "--check")
    assert status == 1
    assert inner in told
    assert "rabbitmq-0.0.9.tgz" in told
    before = [(copied / each).read_bytes() for each in (inner, outer)]
    assert vendor(copied) == (0, "")
    after = [(copied / each).read_bytes() for each in (inner, outer)]
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert vendor(copied, "--check") == (0, "")
    # What is the same is left as it is: Helm puts the time into each archive.
    assert vendor(copied) == (0, "")
    assert [(copied / each).read_bytes() for each in (inner, outer)] == after


def test_no_part_of_a_chart_is_a_link(clone: Path) -> None:
    """Flux drops links, and every command of Helm warns of them."""
    assert [path for path in clone.rglob("*") if path.is_symlink()] == []


@CHARTS
def test_dependencies_are_there(chart: Path) -> None:
    assert {each["status"] for each in helm.dependency_list(chart)} <= {"unpacked", "ok"}


@CHARTS
def test_packages_render_the_same_and_hold_no_test_values(chart: Path, clone: Path, tmp_path: Path) -> None:
    archive = helm.package(clone / chart.relative_to(ROOT), destination=tmp_path)
    with helm.Chart.load(archive) as loaded:
        rendered = Rendered.of_files(files(loaded, {}))
        assert not [each["name"] for each in loaded.files if each["name"].startswith("ci/")]
    assert shape(rendered) == shape(render(chart))


@CHARTS
def test_lint_finds_nothing(chart: Path) -> None:
    report = helm.lint(chart, strict=True)
    messages = [each for each in report["messages"] if "icon is recommended" not in str(each)]
    assert not messages
    assert not report["errors"]
