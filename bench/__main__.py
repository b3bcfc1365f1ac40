"""`python -m bench [--memory] [--push] [--latency]`: measure all of it or some, print the table, keep it."""

from __future__ import annotations

import argparse
import sys
import time

import structlog

from bench import latency, memory, push
from bench.report import save, table

SECTIONS = {"memory": memory.measure, "push": push.measure, "latency": latency.measure}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what Tidings costs.")
    for name in SECTIONS:
        parser.add_argument(f"--{name}", action="store_true", help=f"measure {name}; without any of these, everything")
    parser.add_argument("--save", action="store_true", help="keep the table under bench/results/")
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    start = time.monotonic()
    rows = []
    for name in [name for name in SECTIONS if getattr(arguments, name)] or SECTIONS:
        sys.stderr.write(f"measuring {name} ...\n")
        rows += SECTIONS[name]()
    text = table(rows, time.monotonic() - start)
    sys.stdout.write(text)
    if arguments.save:
        sys.stderr.write(f"kept as {save(text)}\n")


if __name__ == "__main__":
    main()
