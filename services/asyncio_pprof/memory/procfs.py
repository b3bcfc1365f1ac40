"""What the kernel says of this process's memory, and of the limit of the cgroup it is in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/")
UNLIMITED: Final = 1 << 62
"""Version 1 of cgroups says a number beyond this for no limit."""


class Resident(NamedTuple):
    """Bytes in physical memory: all, and those that are pages of files (programs, libraries, shared memory)."""

    total: int
    files: int


class Cgroup(NamedTuple):
    """Bytes charged to the cgroup, those of them that are file cache the kernel drops first, and the least limit."""

    usage: int
    cache: int
    limit: int | None


def resident(root: Path = ROOT) -> Resident:
    """From statm: 0.03 ms, whatever the size of the process."""
    page = os.sysconf("SC_PAGE_SIZE")
    fields = (root / "proc/self/statm").read_text().split()
    return Resident(int(fields[1]) * page, int(fields[2]) * page)


def physical(root: Path = ROOT) -> int:
    """The memory of the machine (MemTotal)."""
    return _fields(root / "proc/meminfo")["MemTotal"] * 1024


def private(root: Path = ROOT) -> int | None:
    """Bytes that would be free if the process ended (smaps_rollup). Walks every page table: 124 ms at 4 GiB."""
    try:
        fields = _fields(root / "proc/self/smaps_rollup")
    except OSError:
        return None
    return sum(fields.get(name, 0) for name in ("Private_Clean", "Private_Dirty", "Private_Hugetlb")) * 1024


def tcp_buffers(root: Path = ROOT) -> int | None:
    """Bytes in the send and receive buffers of every TCP socket of this machine: the kernel has no smaller account."""
    try:
        lines = (root / "proc/net/sockstat").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition(": ")
        fields = rest.split()
        if name == "TCP" and "mem" in fields[:-1]:
            return int(fields[fields.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def cgroup(root: Path = ROOT) -> Cgroup | None:
    """The memory cgroup of this process, of version 2 or 1; None where it cannot be seen.

    Seen from inside a container, the path in /proc may be one that only the host has: then its mount is the cgroup.
    """
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                found = _read_v2(root / "sys/fs/cgroup", path)
            elif "memory" in controllers.split(","):
                found = _read_v1(root / "sys/fs/cgroup/memory", path)
            else:
                continue
            if found is not None:
                return found
    return None


def _read_v2(mount: Path, path: str) -> Cgroup | None:
    for directory in _upwards(mount, path):
        usage = _number(directory / "memory.current")
        if usage is None:
            continue
        cache = _fields(directory / "memory.stat").get("inactive_file", 0)
        limits = [_number(parent / "memory.max") for parent in _upwards(directory, "", mount)]
        return Cgroup(usage, cache, min((limit for limit in limits if limit is not None), default=None))
    return None


def _read_v1(mount: Path, path: str) -> Cgroup | None:
    for directory in _upwards(mount, path):
        usage = _number(directory / "memory.usage_in_bytes")
        if usage is None:
            continue
        stat = _fields(directory / "memory.stat")
        # The least of its own and of those above it.
        limit = stat.get("hierarchical_memory_limit", UNLIMITED)
        return Cgroup(usage, stat.get("total_inactive_file", 0), limit if limit < UNLIMITED else None)
    return None


def _upwards(base: Path, path: str, top: Path | None = None) -> Iterator[Path]:
    """The directory of a cgroup, and those above it up to where cgroups are mounted."""
    top = top or base
    directory = base / path.lstrip("/")
    while True:
        yield directory
        if directory == top or top not in directory.parents:
            return
        directory = directory.parent


def _number(path: Path) -> int | None:
    """A file with one number; None when it is not there or says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """A file of names and numbers, as of memory.stat and smaps_rollup."""
    fields: dict[str, int] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdecimal():
            fields[words[0].rstrip(":")] = int(words[1])
    return fields
