"""The pages of the documentation's site: what scripts/docs_pages.py gathers, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "docs_pages.py"
SITE = """
[project]
docs_dir = "pages"
nav = [
  { "First" = ["index.md", { "Later" = ["guide/[ab].md"] }] },
  { "Rest" = ["guide/first.md", "guide/*.md", "CHANGELOG.md", "charts/*/README.md"] },
  { "Nothing yet" = ["coming/*.md"] },
]
"""


class Repository:
    """A small one: with what is given, and with what every one has."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.write("scripts/docs/site.toml", SITE)
        self.write("scripts/docs/theme/main.html", "")
        self.write("docs/index.md", "# Home\n")

    def write(self, path: str, text: str) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def gather(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "--root", str(self._root), str(self._root / "out")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def gathered(self, path: str) -> str:
        done = self.gather()
        assert done.returncode == 0, done.stderr
        return (self._root / "out" / "pages" / path).read_text()

    def nav(self) -> list[dict[str, Any]]:
        assert self.gather().returncode == 0
        nav: list[dict[str, Any]] = json.loads((self._root / "out" / "mkdocs.yml").read_text())["nav"]
        return nav


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_patterns_take_what_no_name_has_taken(repository: Repository) -> None:
    for page in ("docs/guide/first.md", "docs/guide/a.md", "docs/guide/zeal.md", "charts/one/README.md"):
        repository.write(page, "# A page\n")
    assert repository.nav() == [
        {"First": ["index.md", {"Later": ["guide/a.md"]}]},
        {"Rest": ["guide/first.md", "guide/zeal.md", "charts/one/README.md"]},
    ]


def test_a_page_in_no_section_is_refused(repository: Repository) -> None:
    repository.write("docs/lost.md", "# Lost\n")
    done = repository.gather()
    assert done.returncode == 1
    assert "docs/lost.md" in done.stderr


def test_a_link_to_a_page_that_is_in_no_section_is_refused(repository: Repository) -> None:
    repository.write("docs/guide/a.md", "[notes](../../NOTES.md)\n")
    repository.write("NOTES.md", "# Notes\n")
    done = repository.gather()
    assert done.returncode == 1
    assert "docs/guide/a.md" in done.stderr
    assert "NOTES.md" in done.stderr


def test_links_lead_to_where_pages_are_in_the_site(repository: Repository) -> None:
    repository.write("CHANGELOG.md", "[a](docs/guide/a.md#part), [home](README.md)\n")
    repository.write("README.md", "# Tidings\n")
    repository.write("charts/one/README.md", "# A chart\n")
    text = "[log](../../CHANGELOG.md) [here](#part) [chart](../../charts/one) [far](https://host.example/a.md)\n"
    repository.write("docs/guide/a.md", text)
    assert repository.gathered("CHANGELOG.md") == "[a](guide/a.md#part), [home](index.md)\n"
    moved = "[log](../CHANGELOG.md) [here](#part) [chart](../charts/one/README.md) [far](https://host.example/a.md)\n"
    assert repository.gathered("guide/a.md") == moved


def test_files_come_along_and_folders_are_named_without_a_link(repository: Repository) -> None:
    repository.write("deploy/values.yaml", "replicas: 3\n")
    repository.write("docs/images/one.svg", "<svg/>")
    repository.write("docs/images/two.svg", "<svg/>")
    repository.write(
        "docs/guide/a.md", "[values](../../deploy/values.yaml) of [all](../../deploy)\n![one](../images/one.svg)\n"
    )
    assert repository.gathered("guide/a.md") == "[values](../deploy/values.yaml) of all\n![one](../images/one.svg)\n"
    assert repository.gathered("deploy/values.yaml") == "replicas: 3\n"
    assert repository.gathered("images/one.svg") == repository.gathered("images/two.svg") == "<svg/>"


def test_code_is_left_as_it_is(repository: Repository) -> None:
    code = "```md\n[log](../../CHANGELOG.md)\n```\n"
    repository.write("docs/guide/a.md", code)
    assert repository.gathered("guide/a.md") == code


def test_all_dead_links_are_reported_with_their_lines(repository: Repository) -> None:
    repository.write(
        "docs/guide/a.md", "# A page\n\n[gone](gone.md#a)\n[too](../../deploy/gone.yaml) [gone](gone.md)\n"
    )
    done = repository.gather()
    assert done.returncode == 1
    assert [line.split(" ")[:2] for line in done.stderr.splitlines()] == [
        ["docs/guide/a.md:3:", "gone.md#a"],
        ["docs/guide/a.md:4:", "../../deploy/gone.yaml"],
        ["docs/guide/a.md:4:", "gone.md"],
    ]


@pytest.mark.parametrize(
    ("page", "missing"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "https://cdn.example/a.js"),
        ('<link rel="stylesheet" href="https://fonts.example/css">', "https://fonts.example/css"),
        ('<img src="//pictures.example/a.png">', "//pictures.example/a.png"),
        ('<source srcset="there.png 1x, gone.png 2x">', "gone.png"),
        ('<a href="https://elsewhere.example/">elsewhere</a><script src="../there.js?v=1"></script>', None),
        ('<link rel="icon" href="/there.png"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', None),
    ],
)
def test_what_pages_load_has_to_be_in_the_site(tmp_path: Path, page: str, missing: str | None) -> None:
    folder = tmp_path / "guide"
    folder.mkdir()
    (folder / "a.html").write_text(page)
    for there in (tmp_path / "there.js", tmp_path / "there.png", folder / "there.png"):
        there.touch()
    command = [sys.executable, str(SCRIPT), "--check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == (f"guide/a.html: {missing} is not in the site\n" if missing else "")
    assert done.returncode == (1 if missing else 0)
