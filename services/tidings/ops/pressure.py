"""How near a process is to the memory that it may use, and what is done about it.

The budget refuses what does not fit. It counts bytes, and a byte that is held costs more than a byte: objects, pages
that the allocator keeps, buffers of the kernel. So what the kernel charges is looked at too, four times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from asyncio_pprof.memory import allocators, procfs
from tidings.ops.budget import Budget, Level, assess, budget_bytes, excess
from tidings.ops.metrics import HotMetrics, added

LOOK_SECONDS: Final = 0.25

_log = structlog.get_logger()


class Allowance(NamedTuple):
    """The bytes that may be used, those that are used (read anew by each call), and how many processes share them."""

    limit: int
    used: Callable[[], int]
    processes: int


def allowance(limit_bytes: int, processes: int = 1, root: Path = procfs.ROOT) -> Allowance:
    """What `processes` processes may use together: `limit_bytes`, or (0) the container's or the machine's.

    With a container's limit, all that is charged to the container is used, with buffers of the kernel. With another
    limit, what this process has in memory is used.
    """
    container = procfs.cgroup(root)
    if not limit_bytes and container is not None and container.limit is not None:
        return Allowance(container.limit, lambda: _charged(root), processes)
    limit = limit_bytes or procfs.physical(root)
    return Allowance(limit // processes, lambda: procfs.resident(root).total, 1)


def _charged(root: Path) -> int:
    found = procfs.cgroup(root)
    if found is None:
        raise OSError("the memory of the container cannot be read")
    return found.usage - found.cache


class MemoryWatch:
    """Sets the level of a budget, and has those that hold much give it up where it is critical.

    `relief` are functions that are asked to give up so many bytes and say how many they gave up. They are called on the
    loop, in the order in which they were added.
    """

    def __init__(self, registry: CollectorRegistry, budget: Budget, allowed: Allowance) -> None:
        self.relief: list[Callable[[int], int]] = []
        self.given_up = 0
        self._budget = budget
        self._allowed = allowed
        self._expose(registry)

    def _expose(self, registry: CollectorRegistry) -> None:
        metrics = HotMetrics(registry)
        accounts = self._budget.accounts
        # All workers are in one container, or have the same share.
        metrics.gauge(
            "tidings_memory_limit_bytes",
            "Memory that the process may use (--memory-limit-bytes)",
            lambda: self._allowed.limit,
            merged=max,
        )
        # That of the worker that refuses.
        metrics.gauge(
            "tidings_memory_pressure",
            "0: none. 1: new work is refused. 2: connections that hold most memory are closed too",
            lambda: self._budget.level,
            merged=max,
        )
        metrics.counter("tidings_memory_given_up_bytes", "Bytes given up under memory pressure", lambda: self.given_up)
        metrics.labelled_gauge(
            "tidings_held_bytes",
            "Bytes held for clients, sources and the log, by kind",
            ["kind"],
            lambda: {name: account.held for name, account in dict(accounts).items()},
            merged=added,
        )
        metrics.labelled_counter(
            "tidings_held_refusals",
            "Refusals because a limit was reached, by kind of memory",
            ["kind"],
            lambda: {name: account.refused for name, account in dict(accounts).items()},
        )

    async def run(self) -> None:
        """Look at it until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        try:
            used = self._allowed.used()
        except OSError:
            # There may be no descriptor free. The next look is soon.
            return
        limit, budget = self._allowed.limit, self._budget
        before, budget.level = budget.level, assess(used, limit, budget, budget.level)
        if budget.level is not before:
            report = _log.info if budget.level is Level.CALM else _log.warning
            report("memory", level=budget.level.name.lower(), used_bytes=used, limit_bytes=limit,
                   held_bytes={name: account.held for name, account in budget.accounts.items()})  # fmt: skip
        if budget.level is Level.CRITICAL:
            self._relieve(excess(used, limit, budget) // self._allowed.processes)

    def _relieve(self, size: int) -> None:
        given_up = 0
        for give_up in self.relief:
            if given_up < size:
                given_up += give_up(size - given_up)
        if given_up:
            self.given_up += given_up
            # What was given up is the allocator's until it is told to return it.
            allocators.trim()


def memory_watch(registry: CollectorRegistry, limit_bytes: int = 0, processes: int = 1) -> tuple[Budget, MemoryWatch]:
    """The budget of a process, and who watches it; see `allowance`."""
    allowed = allowance(limit_bytes, processes)
    budget = Budget(budget_bytes(allowed.limit // allowed.processes))
    return budget, MemoryWatch(registry, budget, allowed)
