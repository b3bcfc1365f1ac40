"""Environments of their own for what is measured, kept in a cache: what is in them follows from lock files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.cached import kept, made

ROOT = Path(__file__).parent.parent
KIND = "bench"
"""What it is kept as."""
INSTALL_SECONDS = 900.0


class InstallError(Exception):
    """What is to be measured could not be had. The message is one line."""


def python_with(name: str, *locks: str, package: bool = False) -> Path:
    """The Python of an environment that holds what these lock files name, and Tidings itself if asked for."""
    texts = [(ROOT / "requirements" / f"{lock}.txt").read_bytes() for lock in locks]
    home = kept(KIND) / f"{name}-{_digest(sys.version.encode(), str(ROOT).encode(), *texts)}"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        run("scripts/install", "new", sys.executable, *locks, env={"VENV": str(home)})
        if package:
            run("scripts/install", "package", env={"VENV": str(home)})
        (home / "complete").touch()
    return python


def built(name: str, sources: Path, *command: str) -> Path:
    """A program that this command makes of these sources; it is given its path as the last argument."""
    files = [sources] if sources.is_file() else sorted(path for path in sources.rglob("*") if path.is_file())
    program = kept(KIND) / f"{name}-{_digest(*(path.read_bytes() for path in files), ' '.join(command).encode())}"
    folder = sources if sources.is_dir() else sources.parent
    return made(program, lambda making: run(*command, str(making), cwd=folder))


def go_installed(module: str, version: str) -> Path:
    """The program of a Go module, checked against the checksum database."""
    name = next(part for part in reversed(module.split("/")) if not re.fullmatch(r"v\d+", part))
    home = kept(KIND) / f"{name}-{version}"
    if not (home / name).exists():
        run("go", "install", "-trimpath", f"{module}@{version}", env={"GOBIN": str(home)})
    return home / name


def run(*command: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
    """Run what installs or builds. Raises InstallError with the last line that it says."""
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


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
