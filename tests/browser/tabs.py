"""Tabs of any browser, each with a process of its own that can be stopped and killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import Page

SPIN_MS = 400
_SPIN = f"(() => {{ const end = Date.now() + {SPIN_MS}; while (Date.now() < end); }})()"


class Tab(Protocol):
    async def evaluate(self, expression: str) -> Any: ...

    async def close(self) -> None: ...


def descendants() -> dict[int, float]:
    """The processes below this one, and the processor time that each has had, in ticks."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(stat.parent.name)
        parents[pid], used[pid] = int(fields[1]), float(fields[11])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: used[pid] for pid in found - {os.getpid()}}


async def process_of(tab: Tab) -> int:
    """The process that a tab's scripts run in: the one that works while a script does, twice in a row."""
    found = await _busiest(tab)
    while found != (found := await _busiest(tab)):
        pass
    return found


async def _busiest(tab: Tab) -> int:
    before = descendants()
    await tab.evaluate(_SPIN)
    after = descendants()
    return max(after, key=lambda pid: after[pid] - before.get(pid, 0.0))


class ChromiumTab:
    """A page of Playwright's."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def evaluate(self, expression: str) -> Any:
        return await self._page.evaluate(expression)

    async def close(self) -> None:
        await self._page.close()
