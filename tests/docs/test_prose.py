"""The rules of `make prose`: each finds what it is for, and takes the same thing said plainly."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from scripts import messages
from tests.support.node import node

TOOLS = Path(__file__).parents[2] / "scripts" / "docs"
TEXTLINT = TOOLS / "node_modules" / ".bin" / "textlint"
LONG = "The publisher appends the change to the log, " * 3
CASES = [
    ("sentence-length", f"{LONG} and then answers.", "The publisher appends the change. Then the publisher answers."),
    ("vague-start", "It is a queue.", "The spool is a queue."),
    ("vague-start", "This means that the log is away.", "This answer means that the log is away."),
    ("vague-start", "These lead to a page.", "These changes lead to a page."),
    ("vague-start", "What is not read waits.", "What is a shard?"),
    ("double-negative", "The gateway does not start without a key.", "The gateway needs a key to start."),
    ("double-negative", "There is no change that nobody hears of.", "There is no reload and no polling."),
    ("riddle", "A timeout of 90 s is no matter.", "Idle timeouts of 60 s or more are fine."),
    ("riddle", "Three workers keep this rule by three.", "Three rules ensure this order."),
    ("riddle", "A file that is no journal stays.", "There is no journal. A file that is not a journal stays."),
    ("riddle", "Clients are told to look.", "Clients are asked to resynchronise."),
    ("riddle", "Only HTTP/1.1 is spoken.", "Only HTTP/1.1 is supported. HTTP/1.0 is no longer needed."),
    ("undefined-word", "The QXV answers.", "The queue of values (QXV) answers. The QXV ends."),
    ("undefined-word", "A QXV is sent.", "An APPEND is sent after SIGTERM."),
]
"""Of each rule: a hard sentence, and a plain one."""
CODE = f"```sh\n{LONG}\n```\n\nWrite `it is no matter QXV`."
MODULE = '''"""They are no text of the service."""
LIMIT = 5
"""It is no text, either."""
log.warning("it is no journal", reason=f"no {entry} came in time")
raise ValueError(
    "the account "
    "must not be empty"
)
db.execute("SELECT account FROM entry WHERE it is no matter")
'''
GENERATED = f"<!-- table: written by make bench -->\n\n{LONG}.\n\n<!-- end of table -->"


def report(*pages: Path) -> list[str]:
    """What is printed about pages, one line each; no line when all is well."""
    assert TEXTLINT.exists(), f"{TOOLS}: npm packages are needed: `make test` installs them"
    options = ("--no-textlintrc", "--rulesdir", str(TOOLS / "rules"), "--format", str(TOOLS / "report.js"))
    command = [node(), str(TEXTLINT), *options, *map(str, pages)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    assert bool(done.stdout.strip()) == bool(done.returncode)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def rules_by_page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The rules that found something, by page; hard0 and plain0 are of the first case. One run, since each is slow."""
    folder = tmp_path_factory.mktemp("pages")
    for number, (_, hard, plain) in enumerate(CASES):
        (folder / f"hard{number}.md").write_text(f"# A page\n\n{hard}\n")
        (folder / f"plain{number}.md").write_text(f"# A page\n\n{plain}\n")
    (folder / "code.md").write_text(f"# A page\n\n{CODE}\n")
    (folder / "generated.md").write_text(f"# A page\n\n{GENERATED}\n")
    pages = sorted(folder.iterdir())
    found: dict[str, list[str]] = {page.stem: [] for page in pages}
    for line in report(*pages):
        if place := re.search(r"(\w+)\.md:\d+:\d+: .* \(([a-z-]+)\)$", line):
            found[place[1]].append(place[2])
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{rule}-{hard[:20]}" for rule, hard, _ in CASES])
def test_a_rule_finds_what_it_is_for_and_nothing_else(rules_by_page: dict[str, list[str]], number: int) -> None:
    assert rules_by_page[f"hard{number}"] == [CASES[number][0]]
    assert rules_by_page[f"plain{number}"] == []


@pytest.mark.parametrize("page", ["code", "generated"])
def test_code_and_generated_parts_are_not_prose(rules_by_page: dict[str, list[str]], page: str) -> None:
    assert rules_by_page[page] == []


def test_places_and_counts_are_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nA text.\nIt is hard. They are two.\n")
    *places, count = report(page)
    assert [re.findall(r"page\.md:(\d+:\d+): .* \(([a-z-]+)\)$", place) for place in places] == [
        [("4:1", "vague-start")],
        [("4:13", "vague-start")],
    ]
    assert re.fullmatch(r" +2  .*page\.md: vague-start 2", count)


def test_texts_of_a_module_are_pages_with_each_text_at_its_line(tmp_path: Path) -> None:
    texts = messages.page(MODULE)
    assert list(enumerate(texts.splitlines(), 1))[3:] == [
        (4, "- It is no journal."),
        (5, "- No `_` came in time."),
        (6, "- The account must not be empty."),
    ]
    assert not texts[:3].strip()
    written = tmp_path / "module.py.md"
    written.write_text(texts)
    *places, _ = report(written)
    assert [re.findall(r"module\.py\.md:(\d+):\d+: .* \(([a-z-]+)\)$", place) for place in places] == [
        [("4", "vague-start")],
        [("4", "riddle")],
    ]
