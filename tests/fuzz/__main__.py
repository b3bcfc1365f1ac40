"""Fuzz the parsers: `python -m tests.fuzz [--seconds N] [TARGET ...]`. Exit code 1 when one of them failed.

Coverage guides the fuzzer (atheris, which is libFuzzer for Python): an input that reaches new code is kept and varied.
Each target has a process of its own, since libFuzzer ends the process that it runs in.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

SLOW_SECONDS = 10
"""An input of a few kilobytes that takes longer is a fault; a busy machine takes a hundredth of this."""


def fuzz_one(name: str, seconds: int, corpus: str, artifacts: str) -> None:
    """Fuzz a target in this process, which then ends."""
    with atheris.instrument_imports(include=["tidings", "email", "tests.fuzz"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        (Path(corpus) / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        f"-timeout={SLOW_SECONDS}",
        f"-artifact_prefix={artifacts}/{name}-",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        "-verbosity=0",
        corpus,
    ]
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()


def main() -> int:
    """Fuzz one target after the other; how many failed is told, and what made them fail is kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="for each target (10)")
    parser.add_argument("--one", nargs=2, metavar=("CORPUS", "ARTIFACTS"), help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them, unless some are named")
    given = parser.parse_args()
    if given.one:
        fuzz_one(given.targets[0], given.seconds, *given.one)
    from tests.fuzz.targets import TARGETS

    unknown = sorted(set(given.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    artifacts = Path("build/fuzz")
    artifacts.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in given.targets or TARGETS:
        corpus = tempfile.mkdtemp(prefix="tidings-fuzz-")
        try:
            command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(given.seconds)]
            done = subprocess.run(
                [*command, "--one", corpus, str(artifacts), name],
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        finally:
            shutil.rmtree(corpus)
        runs = next((line.split(":")[-1].strip() for line in done.stdout.splitlines() if "executed_units" in line), "?")
        if done.returncode:
            failed += 1
            sys.stdout.write(f"{name}: FAILED (input in {artifacts}/{name}-*)\n{done.stdout[-4_000:]}\n")
        else:
            sys.stdout.write(f"{name}: {runs} inputs, no fault\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(given.targets or TARGETS) - failed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
