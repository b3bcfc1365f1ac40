"""The rules of `make prose`: each finds what it is for, and takes the same thing said plainly."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.node import node

TOOLS = Path(__file__).parents[2] / "scripts" / "docs"
TEXTLINT = TOOLS / "node_modules" / ".bin" / "textlint"


def found(page: Path, text: str) -> str:
    """What is printed about a page; nothing when all is well."""
    assert TEXTLINT.exists(), f"{TOOLS}: npm packages are needed: `make test` installs them"
    page.write_text(text)
    options = ("--no-textlintrc", "--rulesdir", str(TOOLS / "rules"), "--format", str(TOOLS / "report.js"))
    command = [node(), str(TEXTLINT), *options, str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    assert bool(done.stdout.strip()) == bool(done.returncode)
    return done.stdout


LONG = "The publisher appends the change to the log, " * 3


@pytest.mark.parametrize(
    ("rule", "hard", "plain"),
    [
        (
            "sentence-length",
            f"{LONG} and then answers.",
            "The publisher appends the change. Then the publisher answers.",
        ),
        ("vague-start", "It is a queue.", "The spool is a queue."),
        ("vague-start", "This means that the log is away.", "This answer means that the log is away."),
        ("vague-start", "What is not read waits.", "What is a shard?"),
        ("double-negative", "The gateway does not start without a key.", "The gateway needs a key to start."),
        ("double-negative", "There is no change that nobody hears of.", "There is no reload and no polling."),
        ("riddle", "A timeout of 90 s is no matter.", "Idle timeouts of 60 s or more are fine."),
        ("riddle", "Three workers keep this rule by three.", "Three rules ensure this order."),
        ("undefined-word", "The QXV answers.", "The queue of values (QXV) answers. The QXV ends."),
    ],
)
def test_a_rule_finds_what_it_is_for_and_nothing_else(tmp_path: Path, rule: str, hard: str, plain: str) -> None:
    assert f"({rule})" in found(tmp_path / "page.md", f"# A page\n\n{hard}\n")
    assert found(tmp_path / "page.md", f"# A page\n\n{plain}\n").strip() == ""


def test_code_and_generated_parts_are_not_prose(tmp_path: Path) -> None:
    generated = f"<!-- table: written by make bench -->\n\n{LONG}.\n\n<!-- end of table -->"
    text = f"# A page\n\n```sh\n{LONG}\n```\n\nWrite `it is no matter QXV`.\n\n{generated}\n"
    assert found(tmp_path / "page.md", text).strip() == ""


def test_places_and_counts_are_reported(tmp_path: Path) -> None:
    *places, count = found(tmp_path / "page.md", "# A page\n\nA text.\nIt is hard. They are two.\n").splitlines()
    assert [re.findall(r"page\.md:(\d+:\d+): .* \(([a-z-]+)\)$", place) for place in places] == [
        [("4:1", "vague-start")],
        [("4:13", "vague-start")],
    ]
    assert re.fullmatch(r" +2  .*page\.md: vague-start 2", count)
