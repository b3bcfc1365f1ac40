"""Gather the pages of the documentation's site, and look at the site that was built.

python scripts/docs_pages.py build/docs               # write the pages and the configuration for Zensical
python scripts/docs_pages.py --check build/docs/site  # exit code 1 when a page loads what is not in the site

docs/ is the top of the site. Other pages (examples, charts, CHANGELOG.md) keep their path in the repository.
scripts/docs/site.toml names the sections. A page in no section and a dead link are errors; Zensical checks the anchors.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = "scripts/docs/site.toml"
LINK = r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^)\s:]+)\)"
LINK_OR_CODE = re.compile(rf"^ *```.*?^ *```$|{LINK}", re.MULTILINE | re.DOTALL)


class Unplaced(Exception):  # noqa: N818
    """Pages that no reader would find, since they are in no section; or links that lead nowhere."""


def site_path(path: str) -> str:
    """Where a file of the repository is in the site. The repository's README is the first page."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def repository_path(root: Path, path: str) -> str:
    """Where a file of the site is in the repository."""
    return f"docs/{path}" if (root / "docs" / path).exists() else path


def placed(root: Path, nav: list[Any]) -> tuple[list[Any], list[str]]:
    """The navigation with each pattern replaced by the pages that it stands for, and all these pages."""
    taken = set(named(nav))
    pages: list[str] = []

    def matching(pattern: str) -> list[str]:
        found = {site_path(str(path.relative_to(root))) for top in ("docs", ".") for path in (root / top).glob(pattern)}
        fresh = sorted(path for path in found if pattern == path or path not in taken)
        taken.update(fresh)
        pages.extend(fresh)
        return fresh

    def fill(items: list[Any]) -> list[Any]:
        filled: list[Any] = []
        for item in items:
            if isinstance(item, str):
                filled += matching(item)
            else:
                ((title, inside),) = item.items()
                if inner := fill(inside):
                    filled.append({title: inner})
        return filled

    return fill(nav), pages


def named(nav: list[Any]) -> list[str]:
    """The pages that the navigation names, without those that patterns stand for."""
    found: list[str] = []
    for item in nav:
        if not isinstance(item, str):
            found += named(next(iter(item.values())))
        elif "*" not in item:
            found.append(item)
    return found


class Links:
    """The relative links of pages: `files` are what they lead to besides pages, `dead` those that lead nowhere."""

    def __init__(self, root: Path, pages: set[str]) -> None:
        self.files: set[str] = set()
        self.dead: list[str] = []
        self._root = root
        self._pages = pages

    def moved(self, page: str, text: str) -> str:
        """The text of a page with its links as they are in the site. Code stays as it is.

        A link to a folder leads to the folder's README. If no section has that README, the words stay without a link.
        """
        source = repository_path(self._root, page)

        def move(found: re.Match[str], start: int = 0) -> str:
            image, words, link = found.groups()
            if link is None:
                return found[0]
            start += found.start()
            # A picture may be what a link shows.
            words = LINK_OR_CODE.sub(lambda inner: move(inner, start), words)
            path, hash_, anchor = link.partition("#")
            if not path:
                return f"{image}[{words}]({link})"
            target = os.path.normpath(PurePosixPath(source).parent / path)
            folder = (self._root / target).is_dir()
            there = site_path(f"{target}/README.md" if folder else target)
            if there not in self._pages:
                if folder:
                    return words
                if target.endswith(".md") or not (self._root / target).exists():
                    line = text.count("\n", 0, start) + 1
                    self.dead.append(f"{source}:{line}: {link} leads to no page of a section, and to no file")
                self.files.add(target)
            return f"{image}[{words}]({os.path.relpath(there, PurePosixPath(page).parent)}{hash_}{anchor})"

        return LINK_OR_CODE.sub(move, text)


def gather(root: Path, target: Path) -> None:
    """Write the pages, what they link to, and the configuration. Raise Unplaced where a reader would end nowhere."""
    configuration = tomllib.loads((root / CONFIGURATION).read_text())
    project = configuration["project"]
    project["nav"], listed = placed(root, project["nav"])
    pages = set(listed)
    known = sorted(str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))
    if lost := [path for path in known if site_path(path) not in pages]:
        raise Unplaced("\n".join(f"{path}: in no section of {CONFIGURATION}" for path in lost))
    links = Links(root, pages)
    links.files |= {
        str(path.relative_to(root)) for path in (root / "docs").rglob("*") if path.suffix not in {"", ".md"}
    }
    texts = {page: links.moved(page, (root / repository_path(root, page)).read_text()) for page in sorted(pages)}
    if links.dead:
        raise Unplaced("\n".join(links.dead))
    shutil.rmtree(target, ignore_errors=True)
    for file in sorted(links.files):
        copy = target / project["docs_dir"] / site_path(file)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, copy)
    for page, text in texts.items():
        written = target / project["docs_dir"] / page
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(text)
    shutil.copytree((root / CONFIGURATION).parent / "theme", target / "theme")
    # Zensical reads YAML as well, and JSON is YAML.
    (target / "mkdocs.yml").write_text(json.dumps(project, indent=2))


class Loads(HTMLParser):
    """What a page loads: scripts, styles, pictures. A link that a reader may follow is not loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ({"href"} if tag == "link" else {"src", "data", "poster"}):
                self.urls.add(value or "")
            elif name == "srcset":
                self.urls |= {part.split()[0] for part in (value or "").split(",")}


def not_in_site(site: Path) -> list[str]:
    """What pages of a site load that is not in it: files that are not there, and files of other hosts."""
    found = []
    for page in sorted(site.rglob("*.html")):
        loads = Loads()
        loads.feed(page.read_text())
        for url in sorted(loads.urls):
            parts = urlsplit(url)
            folder = site if parts.path.startswith("/") else page.parent
            if parts.netloc or not (parts.scheme or (folder / parts.path.lstrip("/")).exists()):
                found.append(f"{page.relative_to(site)}: {url} is not in the site")
    return found


def main() -> None:
    """Do what the command line says. What is wrong ends the process with it."""
    parser = argparse.ArgumentParser(description="Gather the pages of the documentation's site")
    parser.add_argument("--check", action="store_true", help="look at a built site: all that pages load is in it")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.check:
        sys.exit("\n".join(not_in_site(given.folder)) or None)
    try:
        gather(given.root, given.folder)
    except Unplaced as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
