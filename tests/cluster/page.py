"""What the pages for operators have readers type."""

from __future__ import annotations

import re

from tests.support.chart import ROOT

PAGES = [
    ROOT / "docs" / "profile.md",
    *sorted((ROOT / "docs").glob("operate/*.md")),
    *sorted((ROOT / "docs").glob("runbooks/*.md")),
]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, heading: str, language: str = "sh") -> list[str]:
    """The blocks of code of a section of a page of docs/operate, in order."""
    _, found, after = (ROOT / "docs" / "operate" / f"{page}.md").read_text().partition(f"\n{heading}\n")
    assert found, f"{page}.md has no section {heading}"
    return [text for kind, text in _BLOCK.findall(_until_heading(after)) if kind == language]


def _until_heading(text: str) -> str:
    """The text up to the next heading, which no comment of a shell in a block is."""
    inside, lines = False, []
    for line in text.splitlines(keepends=True):
        inside ^= line.startswith("```")
        if line.startswith("#") and not inside:
            break
        lines.append(line)
    return "".join(lines)


def commands() -> list[str]:
    """Every line of kubectl's in blocks for shells, without what comes behind a pipe or as a comment."""
    found = (block for page in PAGES for block in _BLOCK.findall(page.read_text()))
    lines = (line for kind, text in found if kind == "sh" for line in text.splitlines())
    return [re.split(r" +[#|] ", line)[0] for line in lines if line.startswith("kubectl ")]
