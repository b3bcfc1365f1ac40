"""What a run is worth knowing by: figures, the machine, the commit."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
_BEGIN, _END = "<!-- comparison: written by make bench-peers ARGS=--save -->\n", "<!-- end of comparison -->\n"


class Row(NamedTuple):
    """One figure. `target` and `reference` say what it is to be compared with."""

    what: str
    value: str
    target: str
    reference: str = ""


def _first_line(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "services", "bench", ":!bench/results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with uncommitted changes" if changed else "")


def interpreter() -> str:
    """The Python that measures and is measured, and how it was built."""
    asked, flags = (str(sysconfig.get_config_var(name) or "") for name in ("CONFIG_ARGS", "CFLAGS"))
    optimised = {"profile-guided": "--enable-optimizations", "link-time": "--with-lto"}
    built = [f"{'with' if flag in asked else 'no'} {what} optimisation" for what, flag in optimised.items()]
    levels = [flag for flag in flags.split() if flag.startswith("-O")]
    return f"Python {platform.python_version()} ({', '.join([*built, *levels[-1:]])})"


def machine() -> str:
    """One line about where this ran."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores of {_first_line('/proc/cpuinfo', 'model name')}, "
        f"{gibibytes:.0f} GiB, Linux {platform.release()}, {interpreter()}"
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| what | measured | target | reference in the same run |",
        "|---|---|---|---|",
        *(f"| {row.what} | {row.value} | {row.target} | {row.reference} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def document(parts: Sequence[str], seconds: float, command: str = "make bench") -> str:
    """What a run measured as a Markdown document."""
    head = f"# {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}\n"
    return "\n".join([head, f"{machine()}; {seconds:.0f} s, `{command}`.\n", *parts])


def save(text: str) -> Path:
    """Keep a run's table under bench/results/."""
    path = RESULTS / f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M}.md"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def into_readme(text: str) -> None:
    """Put the comparison between its marks in the README."""
    before, _, rest = README.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    README.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")
