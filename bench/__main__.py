"""`python -m bench [--memory] [--push] ...`: measure all of it or some, print the tables, keep them."""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time

import structlog

from bench import (
    compare,
    dovecot,
    entries,
    fairness,
    groups,
    hostile,
    imap,
    ingest,
    latency,
    memory,
    outbox,
    plot,
    profiling,
    push,
    rates,
    resume,
    rolling,
    roundcube,
    slow,
    start,
    stream,
    timers,
    upgrades,
    window,
)
from bench.report import document, into_readme, machine, save, table

SECTIONS = {
    "memory": memory.measure,
    "push": push.measure,
    "upgrades": upgrades.measure,
    "timers": timers.measure,
    "entries": entries.measure,
    "stream": stream.measure,
    "latency": latency.measure,
    "slow": slow.measure,
    "fairness": fairness.measure,
    "hostile": hostile.measure,
    "profiling": profiling.measure,
    "groups": groups.measure,
    "rolling": rolling.measure,
    "resume": resume.measure,
    "window": window.measure,
    "imap": imap.measure,
    "ingest": ingest.measure,
    "outbox": outbox.measure,
    "dovecot": dovecot.measure,
    "start": start.measure,
    "roundcube": roundcube.measure,
}
NAMES = (*SECTIONS, "rates", "compare")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what Tidings costs: all of it but the comparison, unless parts are named.",
    )
    for name in NAMES:
        parser.add_argument(f"--{name}", action="store_true", help=f"measure {name}")
    parser.add_argument(
        "--save", action="store_true", help="keep the tables under bench/results/, a comparison also in the README"
    )
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    began = time.monotonic()
    wanted = [name for name in NAMES if getattr(arguments, name)] or [name for name in NAMES if name != "compare"]
    rows = []
    for name in [name for name in SECTIONS if name in wanted]:
        sys.stderr.write(f"measuring {name} ...\n")
        rows += SECTIONS[name]()
    parts = [table(rows)] if rows else []
    steps = []
    if "rates" in wanted:
        sys.stderr.write("measuring rates ...\n")
        steps = rates.measure()
        parts.append(rates.table(steps))
    comparison = None
    if "compare" in wanted:
        sys.stderr.write("measuring compare ...\n")
        comparison = compare.measure()
        parts += [compare.table(comparison), comparison.story() + "\n", compare.notes(comparison)]
    command = "make bench-peers" if wanted == ["compare"] else "make bench"
    text = document(parts, time.monotonic() - began, command)
    sys.stdout.write(text)
    if arguments.save:
        sys.stderr.write(f"kept as {save(text)}\n")
        if steps:
            plot.save_rates(steps)
        if comparison is not None:
            plot.save(comparison)
            into_readme(f"{compare.table(comparison)}\n{comparison.story()}\n\n{machine()}.\n")


if __name__ == "__main__":
    # However it is ended, the servers that it started are ended by their context managers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # For the load and for servers that do not raise it themselves.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
