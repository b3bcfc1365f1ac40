"""What runbooks have people look for in the logs is looked for in all pods, and is there."""

from __future__ import annotations

import re

import pytest

from tests.support.chart import ROOT, TIDINGS, render

RUNBOOKS = ROOT / "docs" / "runbooks"
LOGS = re.compile(r"^kubectl logs (?!POD )(.*?) \| grep ", re.MULTILINE)
SOURCES = ROOT / "services" / "tidings" / "publisher" / "sources"
COMMAND = re.compile(r"--namespace NAMESPACE --selector app\.kubernetes\.io/component=(\w+) --tail=-1 --prefix")


def test_logs_are_those_of_all_pods() -> None:
    components = {pod["metadata"]["labels"].get("app.kubernetes.io/component") for _, pod in render(TIDINGS).pods()}
    found = {page.name: LOGS.findall(page.read_text()) for page in RUNBOOKS.glob("*.md")}
    commands = [(name, command) for name, of_page in found.items() for command in of_page]
    assert len(commands) == 6
    for name, command in commands:
        selected = COMMAND.fullmatch(command)
        assert selected, f"{name}: {command}"
        assert selected[1] in components


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("postgres", "the outbox is still away"),
        ("imap", "imap connections still fail"),
        ("journal", "the journal still cannot be read"),
        ("maildir", "maildir root cannot be read, trying again"),
    ],
)
def test_the_lines_of_a_source_that_stays_away_are_found(source: str, line: str) -> None:
    assert any(f'"{line}"' in path.read_text() for path in (SOURCES / source).glob("*.py"))
    (pattern,) = re.findall(r"grep -E '(.*?)'", (RUNBOOKS / "TidingsSourceAway.md").read_text())
    assert re.search(pattern, line)
