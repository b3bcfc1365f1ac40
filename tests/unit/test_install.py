from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import patient

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install"
LOCK = """\
# A comment.
one==1.0 \\
    --hash=sha256:00
    # via two
two==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:11
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    for name in ("run", "build", "installer"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(LOCK)
    return tmp_path


def install(clone: Path, *arguments: str, uv_exits: int) -> subprocess.CompletedProcess[str]:
    """Run the script where there is a uv that notes what it is asked for, and no index."""
    uv = clone / "bin" / "uv"
    uv.parent.mkdir(exist_ok=True)
    uv.write_text(f'#!/bin/sh\necho "$@" >>{clone}/asked\nexit {uv_exits}\n')
    uv.chmod(0o755)
    env = {**os.environ, "PATH": f"{uv.parent}:{os.environ['PATH']}", "PIP_NO_INDEX": "1"}
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments],
        cwd=clone,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(100),
    )


def test_uv_installs_what_is_locked_by_its_hashes(clone: Path) -> None:
    done = install(clone, "new", sys.executable, "run", "build", uv_exits=0)
    assert done.returncode == 0, done.stderr
    asked = (clone / "asked").read_text()
    assert asked.startswith("pip install --python .venv/bin/python ")
    assert "--require-hashes --no-deps --requirement requirements/run.txt --requirement requirements/build.txt" in asked
    assert (clone / ".venv" / "bin" / "python").exists()
    assert "Installing 4 packages into .venv ...\n" in done.stdout
    assert re.search(r"Installed 4 packages in \d+ s\.\n$", done.stdout)


def test_pip_installs_the_same_where_uv_fails(clone: Path) -> None:
    done = install(clone, "new", sys.executable, "run", uv_exits=2)
    assert done.returncode != 0, "there is no index, and no such package"
    assert "uv failed. Trying pip ..." in done.stderr
    assert "No matching distribution found for one==1.0" in done.stderr
    assert "Installed" not in done.stdout


@pytest.mark.parametrize("arguments", [(), ("new",), ("new", "python3"), ("locked",), ("odd", "run")])
def test_how_it_is_used_is_said(clone: Path, arguments: tuple[str, ...]) -> None:
    done = install(clone, *arguments, uv_exits=0)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: install new PYTHON NAME...")
    assert not (clone / "asked").exists()
