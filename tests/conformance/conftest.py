from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import patient

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def echo_server() -> Iterator[subprocess.Popen[str]]:
    """`python -m tests.conformance.echo`, as an outside suite would run it."""
    command = [sys.executable, "-m", "tests.conformance.echo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.terminate()
        assert process.wait(patient(30)) == 0


@pytest.fixture(scope="session")
def port(echo_server: subprocess.Popen[str]) -> int:
    """Where it listens."""
    assert echo_server.stdout is not None
    return int(echo_server.stdout.readline().rpartition(":")[2])
