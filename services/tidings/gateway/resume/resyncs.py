"""The queue of those who have to resynchronise. Each is work for the mail server behind us, so they go at a pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from tidings.gateway.limits.pace import Pace
from tidings.gateway.model.changes import Changed
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.held import Held
from tidings.gateway.model.pending import ResyncReason

BURST_SECONDS: Final = 0.1
"""How much of what was not used is left: after a pause, as many as come in this time may go at once."""
AT_ONCE: Final = 64
"""How many go before everybody else on the loop has a turn, where there is no pace."""


Missed = tuple[Changed, Held]
"""What a connection missed, and the bytes that this takes while it waits."""


class _Owed(NamedTuple):
    reasons: frozenset[ResyncReason]
    missed: Missed | None


class Resyncs:
    """First come, first served, `rate` clients a second (0: no bound). One place per connection bounds it.

    Who waits is told nothing and keeps its cursor; what changes meanwhile is merged. `release` is called with what
    the connection missed, or with None where it was told already of everything up to the resync.
    """

    def __init__(
        self,
        rate: float,
        release: Callable[[Connection, Changed | None], None],
        resumed: Callable[[Connection, str], None],
    ) -> None:
        self.told = dict.fromkeys(ResyncReason, 0)
        self._pace = Pace(rate, at_once=1 + rate * BURST_SECONDS)
        self._release = release
        self._resumed = resumed
        self._owed: dict[Connection, _Owed] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._owed)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._owed

    def add(self, connection: Connection, reasons: frozenset[ResyncReason], missed: Missed | None) -> None:
        """Have a connection wait for its turn; one that waits already keeps its place."""
        owed = self._owed.get(connection)
        if owed is not None:
            reasons, missed = reasons | owed.reasons, owed.missed if missed is None else missed
        self._owed[connection] = _Owed(reasons, missed)
        if self._timer is None:
            self._run_later()

    def discard(self, connection: Connection) -> None:
        self._owed.pop(connection, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _run_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._pace.due(loop.time()), self._run)

    def _run(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        try:
            for _ in range(self._pace.take(now, min(len(self._owed), AT_ONCE))):
                connection = next(iter(self._owed), None)
                if connection is None:
                    # Whoever was written to and found gone took others along.
                    break
                reasons, missed = self._owed.pop(connection)
                for reason in reasons:
                    self.told[reason] += 1
                self._resumed(connection, f"resync: {', '.join(sorted(reasons))}")
                self._release(connection, None if missed is None else missed[0])
        finally:
            # Also after a fault of ours: whoever is left would wait for somebody else to come.
            if self._owed and self._timer is None:
                self._run_later()
