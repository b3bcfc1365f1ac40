"""The wheel, the npm package and the bill of materials, from a tree."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from scripts.release.running import run
from scripts.release.tree import Tree


def wheel(tree: Tree, into: Path) -> Path:
    """Build the wheel with the build tools of this environment, which are locked."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    where = ("--wheel-dir", str(into), str(tree.path))
    run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", *where, env=tree.env)
    (built,) = into.glob("*.whl")
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


def bill_of_materials(tree: Tree, into: Path) -> None:
    """List what ships, and its licenses."""
    run(str(tree.path / "scripts" / "sbom"), sys.executable, str(into), env=tree.env)
