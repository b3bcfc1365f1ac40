"""The pages for operators write only of what there is: commands, flags, metrics, log events."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.roots import REPOSITORY
from tidings.commands import table
from tidings.ops.settings.fields import called

DOCS = REPOSITORY / "docs"
PAGES = [DOCS / "profile.md", *sorted(DOCS.glob("operate/*.md")), *sorted(DOCS.glob("runbooks/*.md"))]

OTHER_FLAGS = {"--enable-feature", "--json", "--values"}
"""Flags that are no settings: of Prometheus, of the commands for the person on call, and of Helm."""

OTHER_NAMES = {"tidings_group"}
"""A label that the chart's ServiceMonitor sets."""

SETTINGS = {name: entry.load_settings() for name, entry in table.COMMANDS.items()}
SOURCES = "\n".join(path.read_text() for path in sorted((REPOSITORY / "services" / "tidings").glob("**/*.py")))


def name_of(page: Path) -> str:
    return str(page.relative_to(DOCS))


def code_of(text: str) -> str:
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_flags_that_are_written_of_exist(page: Path) -> None:
    flags = {called(settings, name) for settings in SETTINGS.values() for name in settings.model_fields}
    assert set(re.findall(r"`(--[a-z][a-z-]+)", page.read_text())) <= flags | OTHER_FLAGS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_written_of_exist(page: Path) -> None:
    written = re.findall(r"(?:^|`|\|\s)tidings ([a-z][a-z-]*)(?=`| --| +#|$)", code_of(page.read_text()), re.MULTILINE)
    assert set(written) <= {*SETTINGS, "help"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_metrics_that_are_written_of_exist(page: Path) -> None:
    """A name may be the beginning of several, as in a `grep`."""
    known = set(re.findall(r"\btidings_[a-z0-9_]+", SOURCES))
    for written in set(re.findall(r"\btidings_[a-z0-9_]+", page.read_text())) - OTHER_NAMES:
        name = re.sub(r"_(total|bucket|count|sum)$", "", written)
        assert any(metric.startswith(name) for metric in known), written


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_of_the_log_that_runbooks_search_for_exist(page: Path) -> None:
    for searched in re.findall(r"^kubectl logs .*\| grep (?:-E )?'([^']+)'", page.read_text(), re.MULTILINE):
        for event in searched.split("|"):
            assert event in SOURCES, event
