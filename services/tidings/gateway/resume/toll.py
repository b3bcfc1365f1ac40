"""What resumes cost this process: who has cost too much waits until it, or its account, may cost something again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tidings.gateway.limits.allowance import Allowance
from tidings.gateway.model.connection import Connection
from tidings.gateway.resume.postponed import Postponed

SHARE: Final = 0.02
"""Of this process's time, what the resumes of one account, and of one connection, may cost in the long run."""
BURST_SECONDS: Final = 0.5
"""What they may cost at once."""


class Toll:
    """Connections and accounts both pay, so that nobody is cheaper by connecting again.

    `go_on` is told of those that have waited.
    """

    def __init__(self, go_on: Callable[[Iterable[Connection]], None]) -> None:
        self._go_on = go_on
        self._allowance = Allowance(SHARE, BURST_SECONDS)
        self._postponed = Postponed()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._postponed)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._postponed

    def lets_pass(self, connection: Connection, accounts: Sequence[str]) -> bool:
        """Whether a connection may cost something now, and these accounts; else `go_on` hears of it later."""
        now = time.monotonic()
        pause = self._allowance.due((connection, *accounts), now)
        if pause > 0:
            self._postponed.put(connection, now + pause)
            self._wake_at(now + pause)
        return pause == 0

    def charge(self, payers: Iterable[Connection | str], seconds: float) -> None:
        """Note what each of these connections and accounts has cost; nothing, where `seconds` is not above 0."""
        if seconds > 0:
            now = time.monotonic()
            for payer in payers:
                self._allowance.charge(payer, seconds, now)

    def discard(self, connection: Connection) -> None:
        """This one does not wait any more."""
        self._postponed.discard(connection)

    def forget(self, connection: Connection) -> None:
        """This one is gone for good. What it has cost its accounts stays."""
        self._postponed.discard(connection)
        self._allowance.forget(connection)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wake_at(self, due: float) -> None:
        if self._timer is not None:
            if self._wakes <= due:
                return
            self._timer.cancel()
        self._wakes = due
        pause = max(Postponed.resolution, due - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(pause, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._go_on(self._postponed.take(time.monotonic()))
        if self._postponed.due is not None:
            self._wake_at(self._postponed.due)
