"""Where a million connections' memory is: the gateway's own, and the kernel's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.usage import children


@dataclass(frozen=True)
class Memory:
    """Bytes. `user` of the gateway's processes, pages they share counted once; the rest of the whole machine."""

    user: int
    kernel: int
    available: int


def _kibibytes(path: Path, *names: str) -> int:
    found = 0
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name in names:
            found += int(value.split()[0])
    return found * 1024


def tree(pid: int) -> list[int]:
    """A process and those below it."""
    return [pid, *(found for child in children(pid) for found in tree(child))]


def read(gateway: Iterable[int]) -> Memory:
    """As it is now."""
    pages = next(
        int(line.split()[line.split().index("mem") + 1])
        for line in Path("/proc/net/sockstat").read_text().splitlines()
        if line.startswith("TCP:")
    )
    machine = Path("/proc/meminfo")
    return Memory(
        user=sum(_kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in gateway),
        kernel=_kibibytes(machine, "Slab", "PageTables", "KernelStack") + pages * os.sysconf("SC_PAGE_SIZE"),
        available=_kibibytes(machine, "MemAvailable"),
    )
