"""`make soak SECONDS=600`: count under faults for as long as wanted. `--seed` brings the same faults again."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.counting import count_under_faults
from tests.faults.schedule import Step, steps
from tests.support.broker import Broker
from tests.support.postgres import Postgres
from tidings.ops import logs


def main() -> int:
    """Exit code 1 when anything was lost or a service complained."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long faults happen; 600 unless said")
    parser.add_argument("--seed", type=int, help="a random one unless said")
    asked = parser.parse_args()
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    say = partial(print, flush=True)
    logs.configure("auto", "warning")
    say(f"--seed {seed}")
    with tempfile.TemporaryDirectory(prefix="tidings-soak-") as directory, Broker() as broker, Postgres() as postgres:
        until = _until(time.monotonic() + asked.seconds, seed)
        outcome = asyncio.run(count_under_faults(broker, postgres, Path(directory), until, seed, say))
    say(str(outcome))
    say(f"--seed {seed}")
    return int(not outcome.report.passed or bool(outcome.complaints or outcome.disorder))


def _until(end: float, seed: int) -> Iterator[Step]:
    for step in steps(seed):
        if time.monotonic() >= end:
            return
        yield step


raise SystemExit(main())
