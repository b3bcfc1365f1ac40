"""Open files: connections as their owner knows them, everything else as the kernel does."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from asyncio_pprof.pprof.profile import FD, Labels, Profile, Stack, synthetic

MAX_LOOKED_AT: Final = 65_536
SOCKET: Final = "socket"

Connections = Callable[[], Iterable[tuple[str, ...]]]
"""What each open connection is, the general first: ("client", "websocket", "blocked")."""


def kind_of(link: str) -> str:
    """What a descriptor is by its link in /proc: a socket, a pipe, an `[eventpoll]`, a file of some directory."""
    match = re.match(r"(?:anon_inode:)?(\[?\w+\]?)(?::\[\d+\])?$", link)
    return match[1] if match else os.path.dirname(link) or link


def links() -> Iterator[str]:
    """Links of this process's descriptors; of very many, the first."""
    with os.scandir("/proc/self/fd") as entries:
        for looked_at, entry in enumerate(entries):
            if looked_at >= MAX_LOOKED_AT:
                return
            try:
                yield os.readlink(entry.path)
            except OSError:
                continue


def profile(kinds: Mapping[str, int], connections: Mapping[tuple[str, ...], int]) -> Profile:
    """The profile: as stacks, from the general to the particular. A connection is not counted as a socket again."""
    others: dict[tuple[str, ...], int] = {(kind,): count for kind, count in kinds.items() if kind != SOCKET}
    known = {(SOCKET, *names): count for names, count in connections.items() if count}
    rest = kinds.get(SOCKET, 0) - sum(known.values())
    if rest > 0:
        known[(SOCKET, "other")] = rest
    samples: dict[tuple[Stack, Labels], tuple[int, ...]] = {
        (tuple(map(synthetic, reversed(names))), ()): (count,) for names, count in (others | known).items()
    }
    return Profile(FD, samples, time.time_ns())
