"""The wheel: it is built alone, needs what it says and nothing of Tidings, and Tidings' wheel has the same files."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import httpx2
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from asyncio_pprof import __version__
from tests.support.example import PACKAGE, buying, shop
from tests.support.pprof import GoTool, rows
from tests.support.waiting import patient

ROOT = PACKAGE.parents[1]
BUILD_SECONDS = 60.0
NAME = "asyncio_pprof/"


def run(*arguments: str, cwd: Path) -> str:
    """Run Python, and give what it says."""
    done = subprocess.run(
        arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=patient(BUILD_SECONDS)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(project: Path, to: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(to), cwd=project)
    (wheel,) = to.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(PACKAGE, tmp_path_factory.mktemp("dist"))


def needed(names: Iterable[str]) -> set[str]:
    """The distributions that these requirements mean, with all that those need."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += map(Requirement, distribution(name).requires or ())
    return found


class Environment:
    """A new virtual environment, with the wheel and with distributions that are linked from this one."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        venv.create(directory, symlinks=True)
        self.python = str(directory / "bin" / "python")
        (self._packages,) = directory.glob("lib/python*/site-packages")
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check")
        run(*pip, "install", "--no-index", "--no-deps", str(wheel), cwd=directory)

    def link(self, names: Iterable[str]) -> None:
        for name in needed(names):
            installed = distribution(name)
            for top in {file.parts[0] for file in installed.files or () if file.parts[0] not in ("..", "__pycache__")}:
                link = self._packages / top
                if not link.exists():
                    link.symlink_to(str(installed.locate_file(top)))


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Environment:
    made = Environment(tmp_path / "venv", wheel)
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        requires = message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []
    made.link(required for required in requires if "extra ==" not in required)
    return made


def test_it_is_imported_with_nothing_but_what_it_needs(environment: Environment, tmp_path: Path) -> None:
    program = (
        "import sys, asyncio_pprof; print(asyncio_pprof.__file__, asyncio_pprof.__version__);"
        "asyncio_pprof.Profiling(asyncio_pprof.Options()).app();"
        "print([name for name in ('tidings', 'fastapi', 'uvicorn', 'prometheus_client') if name in sys.modules])"
    )
    said = run(environment.python, "-I", "-c", program, cwd=tmp_path).splitlines()
    assert said[0].startswith(str(tmp_path / "venv"))
    assert said[0].endswith(f" {__version__}")
    assert said[1] == "[]"
    failed = subprocess.run(
        [environment.python, "-I", "-c", "import tidings"], capture_output=True, text=True, check=False
    )
    assert "No module named 'tidings'" in failed.stderr


def test_the_readmes_example_runs_from_it(environment: Environment, tmp_path: Path) -> None:
    environment.link(["fastapi", "uvicorn"])
    directory = tmp_path / "shop"
    directory.mkdir()
    with shop(directory, python=environment.python, env={"PYTHONPATH": ""}) as address, buying(address):
        profile = GoTool(tmp_path).sampled("-top", "-nodefraction=0", f"{address}/debug/pprof/profile?seconds=2")
        assert "shop.price" in [row.name for row in list(rows(profile))[:3]]
        for page in ("memory", "requests", "flame/", "assets/pages.css", "gc", "objects?force=1"):
            assert httpx2.get(f"{address}/debug/{page}", timeout=patient(BUILD_SECONDS)).status_code == 200


def test_it_has_the_code_the_pages_and_every_licence(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in ("__init__.py", "py.typed", "static/pages.css", "pprof/speedscope/index.html"):
        assert f"{NAME}{name}" in names
    licences = {name.partition(".dist-info/licenses/")[2] for name in names} - {""}
    assert licences == {"LICENSE", "pprof/speedscope/LICENSE", "pprof/speedscope/source-code-pro.LICENSE.md"}
    assert not any(name.endswith((".toml", "README.md", "CHANGELOG.md", ".pyc")) for name in names)


def test_tidings_wheel_carries_the_same_files_and_needs_no_other(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as alone, ZipFile(built(ROOT, tmp_path)) as carrier:
        mine, carried = (
            {name: archive.read(name) for name in archive.namelist() if name.startswith(NAME)}
            for archive in (alone, carrier)
        )
        metadata = carrier.read(next(name for name in carrier.namelist() if name.endswith(".dist-info/METADATA")))
    assert carried == mine
    required = message_from_bytes(metadata).get_all("Requires-Dist") or []
    assert "asyncio-pprof" not in {Requirement(line).name for line in required}
