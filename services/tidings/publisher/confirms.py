"""Tells that the log does not confirm, once for the process, whichever shards notice it."""

from __future__ import annotations

import time

import structlog

from tidings.bus.log import ChangeLog
from tidings.ops.outage import Outage, Stage

_log = structlog.get_logger()


class Confirms:
    """Hears of every append. Of a log that is known to be away the log itself tells."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._outage = Outage()

    def failed(self, shard: int, error: Exception) -> None:
        """The log did not confirm an append."""
        if not self._log.can_append:
            return
        told = self._outage.failed(time.monotonic(), shard)
        if told is not None:
            event = "the log does not confirm" if told.stage is Stage.BEGUN else "the log still does not confirm"
            _log.warning(event, shard=shard, error=str(error), seconds=told.seconds, failures=told.failures)

    def confirmed(self, shard: int) -> None:
        """The log confirmed an append."""
        if not self._outage.lasts:
            return
        told = self._outage.mended(time.monotonic(), shard)
        if told is not None:
            _log.info("the log confirms again", seconds=told.seconds, failures=told.failures)
