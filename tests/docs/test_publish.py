"""docs/integrate/publish.md: the code that the page shows tells a change, and says why one is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.processes import Tidings, tidings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "integrate" / "publish.md").read_text()
LANGUAGES = {
    "python": (sys.executable, "python/tidings_tell.py", "import logging as log\n{}"),
    "php": ("php", "php/Tidings.php", "<?php\n{}"),
}


def run(language: str, folder: Path, up: Tidings, **replaced: str) -> str:
    """The block of the page, beside the file that the page says to copy; what it writes to standard error."""
    program, file, around = LANGUAGES[language]
    shutil.copy(ROOT / "examples" / "publish" / file, folder)
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for old, new in replaced.items():
        assert old in block
        block = block.replace(old, new)
    (folder / "mine").write_text(around.format(block))
    env = {**os.environ, "TIDINGS_INGEST_URL": up.url("ingest")}
    done = subprocess.run((program, "mine"), cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stderr


def poll(up: Tidings, **query: str) -> dict[str, Any]:
    asked = urlencode({"account": "alice", "wait": "10", **query})
    with urllib.request.urlopen(up.url("gateway", f"/jmap/changes?{asked}")) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_code_of_the_page(language: str, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with tidings("up", *flags) as up:
        cursor = poll(up)["pushState"]
        assert run(language, tmp_path, up) == ""
        assert poll(up, since=cursor)["changed"] == {"alice": {"Email": "s1042", "Mailbox": "s77"}}
        assert "change not told: 422" in run(language, tmp_path, up, MessageNew="Nonsense", s1042="x" * 1000)
