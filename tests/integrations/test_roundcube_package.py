"""What is installed of the plugin for Roundcube, by Debian and by composer."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from tests.support.roots import REPOSITORY, root
from tests.support.roundcube import INTEGRATION, make_packages

CLIENT = REPOSITORY / "clients" / "js"
INSTALLER = {
    "type": "package",
    "package": {"name": "roundcube/plugin-installer", "version": "0.3.8", "type": "metapackage"},
}
"""In place of the real one, which is on Packagist: composer then installs the plugin as it does any library."""


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def client() -> dict[str, bytes]:
    """What a browser loads of clients/js."""
    sources = {f"src/{path.name}": path.read_bytes() for path in (CLIENT / "src").glob("*.js")}
    return {"tidings.js": (CLIENT / "tidings.js").read_bytes(), **sources}


def test_make_makes_it() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert re.search(r"^roundcube-package:.*\n\t@scripts/roundcube-package$", makefile, re.MULTILINE)


def test_the_same_sources_make_the_same_packages_also_at_the_same_time() -> None:
    def made(_: int) -> list[bytes]:
        return [path.read_bytes() for path in make_packages()]

    with ThreadPoolExecutor() as pool:
        first, *others = pool.map(made, range(8))
    assert others == 7 * [first]


def test_both_packages_have_the_same_plugin_with_the_client_as_it_is(tmp_path: Path) -> None:
    deb, archive = make_packages()
    project = tmp_path / "roundcube"
    (project / "packages").mkdir(parents=True)
    (project / "packages" / archive.name).write_bytes(archive.read_bytes())
    repositories = [{"packagist.org": False}, INSTALLER, {"type": "artifact", "url": "packages"}]
    (project / "composer.json").write_text(json.dumps({"repositories": repositories}))
    debian = root("bookworm", "composer", "php-zip")
    composer = (
        f"cd {project} && COMPOSER_HOME={tmp_path}/home COMPOSER_ALLOW_SUPERUSER=1 composer --no-interaction --no-ansi"
    )
    debian.run("sh", "-euc", f"{composer} require tidings/tidings", shown=tmp_path)
    debian.run(
        "sh",
        "-euc",
        f"{composer} validate --no-check-version --strict vendor/tidings/tidings/composer.json",
        shown=tmp_path,
    )
    by_composer = files(project / "vendor" / "tidings" / "tidings")

    with tarfile.open(fileobj=BytesIO(subprocess.check_output(["dpkg-deb", "--fsys-tarfile", deb]))) as contents:
        contents.extractall(tmp_path / "debian", filter="tar")
    by_debian = files(tmp_path / "debian" / "usr/share/roundcube/plugins/tidings")
    only_there = {"README.md", "LICENSE"}
    assert {name: content for name, content in by_composer.items() if name not in only_there} == by_debian
    (modules,) = {name.partition("/")[0] for name in by_debian if name.startswith("modules-")}
    prefix = f"{modules}/client/"
    assert {name.removeprefix(prefix): text for name, text in by_debian.items() if name.startswith(prefix)} == client()
    assert "@VERSION@" not in b"".join(by_debian.values()).decode()


def test_every_language_has_every_text() -> None:
    texts = {
        path.stem: set(re.findall(r"^\$labels\['(\w+)'\]", path.read_text(), re.MULTILINE))
        for path in (INTEGRATION / "localization").glob("*.inc")
    }
    assert texts.keys() >= {"en_US", "de_DE"}
    assert len(set(map(frozenset, texts.values()))) == 1
