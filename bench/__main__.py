"""`python -m bench [--memory] [--push] ...`: measure all of it or some, print the tables, keep them."""

from __future__ import annotations

import argparse
import signal
import sys
import time

import structlog

from bench import compare, fairness, latency, memory, plot, profiling, push, resume, rolling, slow, timers, upgrades
from bench.report import document, into_readme, machine, save, table

SECTIONS = {
    "memory": memory.measure,
    "push": push.measure,
    "upgrades": upgrades.measure,
    "timers": timers.measure,
    "latency": latency.measure,
    "slow": slow.measure,
    "fairness": fairness.measure,
    "profiling": profiling.measure,
    "rolling": rolling.measure,
    "resume": resume.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what Tidings costs.")
    for name in (*SECTIONS, "compare"):
        parser.add_argument(f"--{name}", action="store_true", help=f"measure {name}; without any of these, everything")
    parser.add_argument(
        "--save", action="store_true", help="keep the tables under bench/results/, a comparison also in the README"
    )
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    start = time.monotonic()
    wanted = [name for name in (*SECTIONS, "compare") if getattr(arguments, name)] or [*SECTIONS, "compare"]
    rows = []
    for name in [name for name in SECTIONS if name in wanted]:
        sys.stderr.write(f"measuring {name} ...\n")
        rows += SECTIONS[name]()
    parts = [table(rows)] if rows else []
    comparison = None
    if "compare" in wanted:
        sys.stderr.write("measuring compare ...\n")
        comparison = compare.measure()
        parts += [compare.table(comparison), compare.story(comparison) + "\n", compare.notes(comparison)]
    text = document(parts, time.monotonic() - start)
    sys.stdout.write(text)
    if arguments.save:
        sys.stderr.write(f"kept as {save(text)}\n")
        if comparison is not None:
            plot.save(comparison)
            into_readme(f"{compare.table(comparison)}\n{compare.story(comparison)}\n\n{machine()}.\n")


if __name__ == "__main__":
    # However it is ended, the servers that it started are ended by their context managers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
