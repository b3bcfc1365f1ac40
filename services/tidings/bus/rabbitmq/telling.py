"""What the log says of a broker that is away: once for the process, however many connections notice it."""

from __future__ import annotations

import time
from collections.abc import Collection

import structlog

from tidings.ops.outage import Outage, Stage

_log = structlog.get_logger()


class Telling:
    """`broker` is where it is, without a password; `connections` are those that a process has."""

    def __init__(self, broker: str, connections: Collection[str]) -> None:
        self._broker = broker
        self._missing = set(connections)
        self._away = Outage()
        self._alarm = Outage()
        self._told_retention: str | None = None

    def connected(self, connection: str, address: str) -> None:
        told = self._away.mended(time.monotonic(), connection)
        first = connection in self._missing
        self._missing.discard(connection)
        if told is not None:
            _log.info(
                "bus connected", broker=self._broker, address=address, seconds=told.seconds, failures=told.failures
            )
        elif first and not self._missing and not self._away.lasts:
            _log.info("bus connected", broker=self._broker, address=address)

    def unavailable(self, connection: str, reason: str, address: str | None, seconds: float) -> None:
        """A connection has ended or could not be made; it is tried again in so many seconds."""
        told = self._away.failed(time.monotonic(), connection)
        if told is not None:
            event = "bus unavailable" if told.stage is Stage.BEGUN else "bus still unavailable"
            about = {} if address is None else {"address": address}
            _log.warning(
                event,
                broker=self._broker,
                **about,
                connection=connection,
                reason=reason,
                next_attempt_seconds=round(seconds, 1),
                seconds=told.seconds,
                failures=told.failures,
            )

    def another_retention(self, reason: str) -> None:
        """Streams are there that keep more or less than they would if they were declared now."""
        if reason != self._told_retention:
            self._told_retention = reason
            _log.warning("streams keep their earlier retention", broker=self._broker, reason=reason)

    def blocked(self, reason: str) -> None:
        """The broker takes nothing from publishers. To be said again and again for as long as that lasts."""
        told = self._alarm.failed(time.monotonic())
        if told is not None:
            event = "bus blocked" if told.stage is Stage.BEGUN else "bus still blocked"
            _log.warning(event, broker=self._broker, reason=reason, seconds=told.seconds)

    def unblocked(self) -> None:
        """It takes what is published."""
        told = self._alarm.mended(time.monotonic())
        if told is not None:
            _log.info("bus unblocked", broker=self._broker, seconds=told.seconds)
