"""Commands of the guide with one file of values fit each other: an upgrade loses nothing that the installation said."""

from __future__ import annotations

import re

import yaml

from tests.cluster.page import blocks
from tests.support.chart import ROOT

PAGES = sorted((ROOT / "docs").glob("**/*.md"))
COMMAND = re.compile(r"^helm .*my-values\.yaml.*$", re.MULTILINE)


def test_commands_with_values_of_ones_own_are_of_one_release() -> None:
    commands = [line for page in PAGES for line in COMMAND.findall(page.read_text())]
    assert {line.split()[1] for line in commands} == {"install", "upgrade"}
    said = {line.split(maxsplit=2)[2] for line in commands}
    assert said == {"tidings deploy/helm --namespace mail --values my-values.yaml"}


def test_the_values_say_where_the_image_is() -> None:
    (added,) = blocks("install", "## Install for production", "yaml")
    assert yaml.safe_load(added) == {"tidings": {"image": {"repository": "registry.example/tidings"}}}
