"""Programs from npm that clients/js is checked, bundled and run with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NPM = Path(__file__).parents[1] / "client" / "npm" / "node_modules"


def tool(*command: str, cwd: Path) -> str:
    """Run a program from npm, which finds the packages there; what it printed."""
    assert NPM.is_dir(), f"{NPM.parent}: npm packages are needed: `make test` installs them"
    path = f"{NPM / '.bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "NODE_PATH": str(NPM)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
