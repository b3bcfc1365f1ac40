"""Ask an advisory database about every version that lock files pin: audit.py LOCK_FILE...

Exit code 0 when none has a known vulnerability, 1 when one has, 3 when the database could not be asked about all: that
is no pass. PyPI is asked; AUDIT_OSV names a server of the OSV API instead, such as a mirror of one's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

ARGUMENTS: Final = (
    "--disable-pip",
    "--require-hashes",
    "--progress-spinner",
    "off",
    "--desc",
    "off",
    "--timeout",
    "10",
)
VULNERABLE, NOT_ASKED = 1, 3


@dataclass(frozen=True)
class Findings:
    """What the database said: advisories by what is pinned, and why what was not audited was not."""

    advisories: dict[str, list[str]]
    unanswered: dict[str, str]


def read(report: str, complaint: str) -> Findings:
    """Read pip-audit's report. It has none when the database could not be reached at all."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except ValueError:
        lines = complaint.strip().splitlines() or ["no report"]
        return Findings({}, {"all of them": lines[-1]})
    advisories: dict[str, list[str]] = {}
    unanswered: dict[str, str] = {}
    for dependency in dependencies:
        if reason := dependency.get("skip_reason"):
            unanswered[dependency["name"]] = reason
        elif found := dependency["vulns"]:
            pinned = f"{dependency['name']} {dependency['version']}"
            advisories[pinned] = [
                f"{each['id']}, mended in {', '.join(each['fix_versions']) or 'no version'}" for each in found
            ]
    return Findings(advisories, unanswered)


def audit(locks: Sequence[str]) -> Findings:
    """Run pip-audit on lock files."""
    url = os.environ.get("AUDIT_OSV")
    service = ("--vulnerability-service", "osv", "--osv-url", url) if url else ()
    files = [part for lock in locks for part in ("--requirement", lock)]
    command = [sys.executable, "-m", "pip_audit", *ARGUMENTS, *service, "--format", "json", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - of our own making
    return read(done.stdout, done.stderr)


def main(locks: Sequence[str]) -> int:
    """The exit code."""
    found = audit(locks)
    for pinned, advisories in found.advisories.items():
        for advisory in advisories:
            sys.stderr.write(f"Known vulnerability: {pinned}: {advisory}\n")
    if found.unanswered:
        (name, reason), *_ = found.unanswered.items()
        sys.stderr.write(
            f"NOT AUDITED for known vulnerabilities: {len(found.unanswered)} dependencies, which the advisory database "
            f"did not answer for ({name}: {reason})\n"
        )
    if found.advisories:
        return VULNERABLE
    return NOT_ASKED if found.unanswered else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
