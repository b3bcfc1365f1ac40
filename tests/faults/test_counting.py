"""Nothing is lost: counted under every fault, and counted as lost where it is."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.faults.counting import count_under_faults
from tests.faults.schedule import Fault, steps
from tests.support.broker import Broker
from tests.support.postgres import Postgres
from tests.support.processes import tidings
from tests.support.waiting import patient


async def test_nothing_is_lost_under_any_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One round of all faults; `make soak` goes on."""
    seed = secrets.randbelow(2**32)

    def say(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"{line}\n")

    say(f"\nthe same again: make soak ARGS='--seed {seed}'")
    with Broker() as broker, Postgres() as postgres:
        outcome = await count_under_faults(broker, postgres, tmp_path, islice(steps(seed), len(Fault)), seed, say)
    say(str(outcome))
    assert outcome.report.lost == []
    assert outcome.report.passed
    assert outcome.complaints == []
    assert outcome.disorder == []


def test_a_gateway_that_forgets_loses_and_is_found_out(tmp_path: Path) -> None:
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with tidings("up", *flags, module="tests.faults.forgetful") as up:
        urls = ("--ingest-url", up.url("ingest"), "--gateway-url", up.url("gateway"))
        load = ("--seconds", "6", "--accounts", "20", "--clients", "40", "--rate", "30")
        patience = ("--timeout-seconds", str(patient(5)))
        done = subprocess.run(
            [sys.executable, "-m", "tidings", "check", *urls, *load, *patience],
            capture_output=True,
            text=True,
            check=False,
            timeout=patient(100),
            env={name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")},
        )
    assert done.returncode == 1, done.stdout
    (lost,) = (line.split()[1] for line in done.stdout.splitlines() if line.startswith("lost "))
    assert int(lost) > 0
    assert "LOST: client" in done.stdout
