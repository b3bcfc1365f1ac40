"""An account's recent changes, as the log has them: read now and again for a person, and at nobody's cost."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tidings.bus.log import ChangeLog, FromTime
from tidings.bus.present import read_present
from tidings.errors import BatchError, LogError
from tidings.gateway.feeds.log_clock import LogClock
from tidings.wire.batch import Batch
from tidings.wire.change import anything_changed
from tidings.wire.shard import shard_of

READ_SECONDS: Final = 20.0
MAX_CHANGES: Final = 500
WORK_SECONDS: Final = 0.001
REST_SECONDS: Final = 0.004
"""So long everybody else has the loop, after each WORK_SECONDS of reading."""


class Logged(NamedTuple):
    """A change in the log: `at` is when its batch was appended, `time` its own, both in Unix seconds."""

    at: float
    offset: int
    event: str
    id: str
    source: str
    changed: Mapping[str, str | None]
    time: float | None


@dataclass
class Recent:
    """The newest changes there are, in log order; `fault` says why these are not all since `since` (Unix seconds).

    `read_to` is when the last entry that was read had been appended, `entries` how many there were of the shard.
    """

    shard: int
    since: float
    read_to: float | None = None
    entries: int = 0
    undecodable: int = 0
    omitted: int = 0
    fault: str | None = None
    changes: deque[Logged] = field(default_factory=lambda: deque(maxlen=MAX_CHANGES))

    def take(self, batch: Batch | BatchError, offset: int, account: str) -> None:
        self.entries += 1
        if isinstance(batch, BatchError):
            self.undecodable += 1
            return
        self.read_to = batch.appended
        resets = (anything_changed(account, source="", event_id="", ingested=batch.appended),) if batch.is_reset else ()
        for change in (*batch.changes, *resets):
            if change.account == account:
                self.omitted += len(self.changes) == MAX_CHANGES
                self.changes.append(
                    Logged(
                        batch.appended,
                        offset,
                        change.event,
                        change.id,
                        change.source,
                        change.changed,
                        change.time,
                    )
                )


class AccountLog:
    """Reads for one account at a time."""

    def __init__(self, log: ChangeLog, clock: LogClock) -> None:
        self._log = log
        self._clock = clock
        self._reading = False

    async def recent(self, account: str, seconds: float) -> Recent:
        """An account's changes of the last so many seconds, or as many as READ_SECONDS and MAX_CHANGES allow."""
        recent = Recent(shard_of(account, self._log.shards), self._clock.before(seconds).timestamp)
        if self._reading:
            recent.fault = "another request reads the log: try again"
            return recent
        self._reading = True
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._read(recent, account)
        except TimeoutError:
            recent.fault = f"reading the log takes more than {READ_SECONDS:.0f} s: ask for fewer seconds"
        except LogError as error:
            recent.fault = f"the log is away: {error}"
        finally:
            self._reading = False
        return recent

    async def _read(self, recent: Recent, account: str) -> None:
        turn = time.monotonic()
        async with aclosing(read_present(self._log, recent.shard, FromTime(recent.since))) as entries:
            async for batch, position in entries:
                recent.take(batch, position.offset, account)
                if time.monotonic() - turn >= WORK_SECONDS:
                    await asyncio.sleep(REST_SECONDS)
                    turn = time.monotonic()
