"""What starting costs: CPU time of the command line, CPU time and memory of each service until it serves."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.installing import python_with
from bench.report import Row
from bench.usage import children, cpu_seconds, own, resident
from tests.support.ports import free_ports
from tests.support.processes import tidings

TIMES = 7
TOKEN = "a token for the ingest"
MIB = 2**20


class _Started(NamedTuple):
    """A process that serves: its CPU time so far in seconds, its memory in bytes."""

    cpu: float
    resident: int


def measure() -> list[Row]:
    """In an environment that holds what a deployment holds: tools for development would be loaded, too."""
    python = str(python_with("start", "run", "build", package=True))
    env = _environment()
    nothing = _cpu(python, "-c", "pass", env=env)
    rows = [
        Row(
            what,
            f"{(spent := _cpu(python, *arguments, env=env)):.3f} s of CPU",
            "below 0.3 s",
            f"{spent / nothing:.1f} x `python -c pass` ({nothing:.3f} s)",
        )
        for what, arguments in (
            ("`import tidings.cli`", ("-c", "import tidings.cli")),
            ("`tidings --help`", ("-m", "tidings", "--help")),
            ("`tidings gateway --help`", ("-m", "tidings", "gateway", "--help")),
        )
    ]
    bare = _resident(python, "import asyncio", env)
    for command in ("gateway", "publisher", "webmail", "up"):
        started = _started(python, command)
        rows.append(
            Row(
                f"`tidings {command}`, started, nobody connected, no broker",
                f"{started.resident / MIB:.1f} MiB resident, {started.cpu:.2f} s of CPU",
                "at most 50 MiB" if command == "gateway" else "",
                f"`python -c 'import asyncio'`: {bare / MIB:.1f} MiB",
            )
        )
    return [*rows, _workers(python)]


def _environment() -> dict[str, str]:
    """That of a deployment: compiled once, and nothing else said to Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TIDINGS_"))}


def _cpu(*command: str, env: Mapping[str, str]) -> float:
    """Seconds of user and system time that a command takes, the median of several runs after a first one."""
    spent = []
    for _ in range(TIMES + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=env, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent[1:])


def _resident(python: str, statement: str, env: Mapping[str, str]) -> int:
    """Bytes that a process which has only done this holds."""
    script = f"{statement}\nprint(flush=True)\nimport sys\nsys.stdin.read()"
    with subprocess.Popen(
        [python, "-c", script], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return resident([process.pid])


def _flags(command: str, home: Path) -> tuple[Sequence[str], dict[str, str]]:
    (nobody,) = free_ports(1)
    bus = ("--bus", f"amqp://guest:guest@127.0.0.1:{nobody}/")
    env = {"TIDINGS_INGEST_TOKENS": TOKEN}
    match command:
        case "gateway":
            return bus, {}
        case "publisher":
            return (*bus, "--state-dir", str(home)), env
        case "webmail":
            return ("--maildir", str(home)), env
    return ("--maildir", str(home / "mail"), "--state-dir", str(home)), env


def _started(python: str, command: str) -> _Started:
    found = []
    for _ in range(3):
        with TemporaryDirectory() as home:
            flags, env = _flags(command, Path(home))
            with tidings(command, *flags, env=env, program=(python, "-m", "tidings")) as process:
                found.append(_Started(cpu_seconds([process.pid]), resident([process.pid])))
    return min(found)


def _workers(python: str) -> Row:
    """What a worker has to itself: the rest it shares with the process that it was forked from."""
    with TemporaryDirectory() as home:
        flags, _ = _flags("gateway", Path(home))
        with tidings("gateway", "--workers", "2", *flags, program=(python, "-m", "tidings")) as process:
            *_, worker = children(process.pid)
            whole, private = resident([worker]), own([worker])
    return Row(
        "one of two workers (`tidings gateway --workers 2`)",
        f"{private / MIB:.1f} MiB of its own",
        "",
        f"{whole / MIB:.1f} MiB resident, with the pages that it shares with the supervisor",
    )
