"""What docs/operations.md has readers type."""

from __future__ import annotations

import re

from tests.support.chart import ROOT

PAGE = ROOT / "docs" / "operations.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(heading: str, language: str = "sh") -> list[str]:
    """The blocks of code of a section, in order."""
    _, found, after = PAGE.read_text().partition(f"\n{heading}\n")
    assert found, f"{PAGE.name} has no section {heading}"
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
    lines = (line for kind, text in _BLOCK.findall(PAGE.read_text()) if kind == "sh" for line in text.splitlines())
    return [re.split(r" +[#|] ", line)[0] for line in lines if line.startswith("kubectl ")]
