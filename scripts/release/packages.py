"""The wheels, the npm package, the Debian packages and the bill of materials, from a tree."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Final

from scripts.release.running import run
from scripts.release.tree import Tree

PROFILER: Final = "services/asyncio_pprof"
"""The project of asyncio-pprof, which has a version of its own."""


def wheel(tree: Tree, into: Path) -> Path:
    """Build the wheels with the build tools of this environment, which are locked; that of Tidings."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    projects = (str(tree.path), str(tree.path / PROFILER))
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    run(*pip, "wheel", *offline, "--wheel-dir", str(into), *projects, env=tree.env)
    (built,) = into.glob("tidings-*.whl")
    return built


def requirements(tree: Tree, built: Path, path: Path) -> None:
    """Write what pip installs with --require-hashes: the wheel, and all that was tested with it."""
    name, version, *_ = built.name.split("-")
    digest = hashlib.sha256(built.read_bytes()).hexdigest()
    locked = (tree.path / "requirements" / "run.txt").read_text()
    path.write_text(f"{locked}{name}=={version} \\\n    --hash=sha256:{digest}\n")


def client(tree: Tree, repository: Path, into: Path) -> None:
    """Pack the browser client; the compiler for its types is among the locked packages of the repository's tests."""
    programs = repository / "tests" / "client" / "npm" / "node_modules" / ".bin"
    source = tree.path / "clients" / "js"
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    run("npm", "pack", "--silent", "--pack-destination", str(into), str(source), env={**tree.env, "PATH": path})


def debian(tree: Tree, into: Path) -> None:
    """Build the Debian packages (of the services for machines like this one), and Roundcube's plugin for composer."""
    scripts = tree.path / "scripts"
    run(str(scripts / "package"), sys.executable, env=tree.env)
    run(str(scripts / "dovecot-package"), env=tree.env)
    run(str(scripts / "roundcube-package"), env=tree.env)
    for built in sorted((tree.path / "build").iterdir()):
        built.rename(into / built.name)


def bill_of_materials(tree: Tree, into: Path) -> None:
    """List what ships, and its licenses."""
    run(str(tree.path / "scripts" / "sbom"), sys.executable, str(into), env=tree.env)
