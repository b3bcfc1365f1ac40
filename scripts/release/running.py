"""Running the programs that a release is made with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

LAST_WORDS = 3_000
"""Characters that are shown of what a program said that failed."""


class ReleaseError(Exception):
    """There is no release; the text says why, and what to do."""


def run(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a program printed. `env` is added to the environment. Raises ReleaseError when the program fails."""
    try:
        done = subprocess.run(  # noqa: S603 - every command is one of ours
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ReleaseError(f"needed and not installed: {command[0]}") from None
    if done.returncode:
        said = f"{done.stdout}{done.stderr}".strip()[-LAST_WORDS:]
        raise ReleaseError(f"{' '.join(command)} failed:\n{said}")
    return done.stdout.strip()
