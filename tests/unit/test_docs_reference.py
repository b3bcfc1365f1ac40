"""The reference pages of commands and metrics, and what other pages write of them, against the code."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.unit.test_docs import COMMANDS, ROOT, expected
from tidings.commands import table


def test_every_command_is_documented_as_its_help_has_it() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(#([\w-]+)\) \| (.*) \|$", text, re.MULTILINE)
    assert [(name, does) for name, _, does in rows] == [(name, entry.does) for name, entry in table.COMMANDS.items()]
    assert all(name == anchor for name, anchor, _ in rows)


def written_flags() -> list[tuple[str, str, str]]:
    """Commands as shell blocks of the documentation have them: (page, command, flag)."""
    found: set[tuple[str, str, str]] = set()
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for command, words in re.findall(r"\btidings ([a-z-]+)([^#|;&]*)", line):
                    flags = re.findall(r"\s(--[a-z-]+)", words) if command in COMMANDS else []
                    found |= {(str(page.relative_to(ROOT)), command, flag) for flag in flags}
    return sorted(found)


@pytest.mark.parametrize(("page", "command", "flag"), written_flags())
def test_flags_that_are_written_of_exist(page: str, command: str, flag: str) -> None:
    options = {flag for flag, _ in expected(COMMANDS[command]).values()}
    assert flag in options | {"--json", "--help"}


KINDS: Final = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "counter": "counter",
    "labelled": "counter",
    "labelled_counter": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "gauge": "gauge",
    "labelled_gauge": "gauge",
    "Histogram": "histogram",
    "_histogram": "histogram",
    "histogram": "histogram",
    "labelled_histogram": "histogram",
}
"""What makes a metric in the services, and of which type."""


def metrics_of(source: str) -> set[tuple[str, str, str]]:
    """The metrics that a module makes: (name, type, help text)."""
    found: set[tuple[str, str, str]] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id=maker) | ast.Attribute(attr=maker), args=[ast.Constant(value=str(name)), told, *_]
            ) if name.startswith("tidings_") and maker in KINDS:
                kind = KINDS[maker]
                found.add((f"{name}_total" if kind == "counter" else name, kind, ast.literal_eval(told)))
    return found


def plain(meaning: str) -> str:
    """Markdown of a table cell as text."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", meaning).replace("`", "")


def test_every_metric_is_documented_with_its_type_and_help_text() -> None:
    made = {metric for path in (ROOT / "services").rglob("*.py") for metric in metrics_of(path.read_text())}
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(tidings_\w+)` \| (\w+) \| [^|]*\| (.*) \|$", text, re.MULTILINE)
    assert len(made) > 80
    assert sorted((name, kind, plain(meaning)) for name, kind, meaning in rows) == sorted(made)


def written_metrics() -> list[tuple[str, str]]:
    """Metrics that the documentation names: (page, metric)."""
    pages = (*ROOT.glob("docs/*.md"), *ROOT.glob("docs/[!d]*/**/*.md"))
    return sorted(
        {
            (str(page.relative_to(ROOT)), name)
            for page in pages
            for name in re.findall(
                r"`(tidings_\w+_(?:total|seconds|bytes|waiting|paced|live|open))\b", page.read_text()
            )
        }
    )


@pytest.mark.parametrize(("page", "metric"), written_metrics())
def test_metrics_that_are_written_of_exist(page: str, metric: str) -> None:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    assert f"| `{metric}` |" in text
