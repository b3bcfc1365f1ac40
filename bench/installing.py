"""Environments of their own for what is measured, kept in a cache: what is in them follows from lock files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.cached import contents, keyed, made

ROOT = Path(__file__).parent.parent
KIND = "bench"
"""What it is kept as."""
INSTALL_SECONDS = 900.0


class InstallError(Exception):
    """What is to be measured could not be had. The message is one line."""


def python_with(name: str, *locks: str, package: bool = False) -> Path:
    """The Python of an environment that holds what these lock files name, and Tidings itself if asked for."""
    texts = [(ROOT / "requirements" / f"{lock}.txt").read_bytes() for lock in locks]
    home = keyed(KIND, name, sys.version.encode(), str(ROOT).encode(), *texts)
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        run("scripts/install", "new", sys.executable, *locks, env={"VENV": str(home)})
        if package:
            run("scripts/install", "package", env={"VENV": str(home)})
        (home / "complete").touch()
    return python


def built(name: str, sources: Path, *command: str) -> Path:
    """A program that this command makes of these sources; it is given its path as the last argument."""
    program = keyed(KIND, name, *contents(sources), " ".join(command).encode())
    folder = sources if sources.is_dir() else sources.parent

    def make(making: Path) -> None:
        run(*command, str(making), cwd=folder)

    return made(program, make)


def go_installed(module: str, version: str) -> Path:
    """The program of a Go module."""
    return Path(run("scripts/go-program", module, version))


def run(*command: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run what installs or builds; what it prints. Raises InstallError with the last line that it says."""
    if shutil.which(command[0]) is None and not (cwd / command[0]).exists():
        raise InstallError(f"{command[0]} is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "PATH": path, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"{command[0]} took more than {INSTALL_SECONDS:.0f} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise InstallError(f"{command[0]} failed: {said}")
    return done.stdout.strip()
