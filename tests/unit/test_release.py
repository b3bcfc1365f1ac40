"""What `make release` refuses before it builds anything, and what it says of how a release was made."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts.release import provenance, versions

ROOT = Path(__file__).resolve().parents[2]
VERSION = version("tidings")
IDENTITY = {"homepage": "https://tidings.example/", "repository": "git+https://tidings.example/tidings.git"}
DIGEST = "sha256:" + "0" * 64


def released(*arguments: str, password: str | None = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "COSIGN_PASSWORD"}
    if password is not None:
        env["COSIGN_PASSWORD"] = password
    command = [sys.executable, "-m", "scripts.release", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_every_file_says_the_version_of_pyproject() -> None:
    assert versions.differing(VERSION, ROOT) == {}


def test_another_version_is_refused_and_every_file_named_that_says_one() -> None:
    done = released("99.0.0", "localhost:1", "key")
    assert done.returncode == 1
    for name in ("pyproject.toml", "CHANGELOG.md", *(name for name, _ in versions.PLACES)):
        assert f"\n  {name}: {VERSION}\n" in done.stderr


@pytest.mark.parametrize("given", ["", "1", "1.0", "v1.0.0", "01.0.0", "1.0.0-rc.1", "1.0.0rc1", "1.0.0\n"])
def test_a_version_has_three_numbers(given: str) -> None:
    done = released(given, "localhost:1", "key")
    assert (done.returncode, done.stderr) == (1, f"release: a version is MAJOR.MINOR.PATCH, such as 1.2.3: {given!r}\n")


def test_a_place_that_no_longer_says_a_version_is_found(tmp_path: Path) -> None:
    for name in {"CHANGELOG.md", *(name for name, _ in versions.PLACES)}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "docker" / "Dockerfile").write_text("FROM scratch\n")
    chart = tmp_path / "charts" / "tidings" / "Chart.yaml"
    chart.write_text(chart.read_text().replace(f'appVersion: "{VERSION}"', 'appVersion: "0.0.9"'))
    assert versions.differing(VERSION, tmp_path) == {"docker/Dockerfile": "none", "charts/tidings/Chart.yaml": "0.0.9"}


def test_without_a_key_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = released(VERSION, "localhost:1", str(tmp_path / "none.key"))
    assert done.returncode == 1
    assert "scripts/cosign generate-key-pair" in done.stderr
    (tmp_path / "some.key").touch()
    done = released(VERSION, "localhost:1", str(tmp_path / "some.key"), password=None)
    assert done.returncode == 1
    assert "COSIGN_PASSWORD is not set" in done.stderr


def stated(environment: dict[str, str]) -> dict[str, object]:
    materials = {"git+https://tidings.example/tidings.git": {"gitCommit": "0" * 40}}
    statement = provenance.statement(VERSION, "localhost:1", IDENTITY, {"a.whl": DIGEST}, materials, environment)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "a.whl", "digest": {"sha256": "0" * 64}}]
    predicate = statement["predicate"]
    assert isinstance(predicate, dict)
    return predicate


def test_provenance_names_what_was_built_of_what() -> None:
    definition = stated({})["buildDefinition"]
    assert isinstance(definition, dict)
    assert definition["externalParameters"] == {"version": VERSION, "registry": "localhost:1"}
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://tidings.example/tidings.git", "digest": {"gitCommit": "0" * 40}}
    ]


def test_the_builder_is_a_workflow_or_a_person() -> None:
    workflow = {
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_WORKFLOW_REF": "someone/tidings/.github/workflows/release.yml@refs/tags/v1.0.0",
    }
    assert stated({})["runDetails"] == {"builder": {"id": "https://tidings.example/builders/make-release"}}
    assert stated(workflow)["runDetails"] == {
        "builder": {"id": f"https://github.example/{workflow['GITHUB_WORKFLOW_REF']}"}
    }
