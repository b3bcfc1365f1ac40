"""The files that a project is joined by: workflows and forms, as GitHub reads them; pages that other pages name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(set((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"})
MAKEFILE = (ROOT / "Makefile").read_text()
RECIPE = re.findall(r"^release:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[0]
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def checked(schema: str, *files: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_are_valid() -> None:
    assert WORKFLOWS
    checked("vendor.github-workflows", *WORKFLOWS)


def test_forms_are_valid() -> None:
    assert FORMS
    checked("vendor.github-issue-forms", *FORMS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_what_there_is_and_may_read_alone(workflow: Path) -> None:
    read = yaml.safe_load(workflow.read_text())
    assert read["permissions"] == {"contents": "read"}
    scripts = [step["run"] for job in read["jobs"].values() for step in job["steps"] if "run" in step]
    made = [re.findall(r"^make ([a-z -]+?)(?: [A-Z]+=.*)?$", script, re.MULTILINE) for script in scripts]
    targets = {name for lines in made for line in lines for name in line.split()}
    assert targets <= TARGETS
    for script in scripts:
        for path in re.findall(r"(?<![\w/])\.ci/\w+", script):
            assert (ROOT / path).is_file()


def test_a_tag_makes_a_release_as_a_maintainer_does() -> None:
    (workflow,) = (yaml.safe_load(path.read_text()) for path in WORKFLOWS if path.name == "release.yml")
    scripts = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    (line,) = re.findall(r"^make release .*$", scripts, re.MULTILINE)
    given = {part.partition("=")[0] for part in line.split()[2:]}
    assert given <= set(re.findall(r"\$\(([A-Z]+)\)", RECIPE))


def test_security_and_compatibility_are_linked() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "(SECURITY.md)" in readme
    assert "(docs/compatibility.md)" in readme
