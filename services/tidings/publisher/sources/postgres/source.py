"""The PostgreSQL source: rows of the outbox to the log, in order within each account, as soon as they are committed.

NOTIFY only wakes: what is there is found by looking. A row leaves when the log has confirmed it, and the spool is not
for rows: another publisher would overtake what one has in its spool.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Final

import structlog

from tidings.errors import LogError, SourceAway
from tidings.ops.outage import Outage, Stage
from tidings.ops.paced import Paced
from tidings.publisher.accounts import AccountMap
from tidings.publisher.sources.metrics import SourceCounters
from tidings.publisher.sources.postgres.outbox import Outbox, Taken, check_url
from tidings.publisher.sources.postgres.rows import change_of
from tidings.publisher.sources.submit import Submit
from tidings.wire.change import Change

LOOK_SECONDS: Final = 1.0
"""How often it looks without having been woken: the trigger may not be there, or a pooler keeps NOTIFY to itself."""
RETRY_SECONDS: Final = (0.1, 5.0)
"""The first pause after a failure at the most, and the longest."""

_log = structlog.get_logger()


class PostgresSource:
    """Empties the outbox at `url`. `submit` has to return only once the log itself has confirmed."""

    name = "postgres"

    def __init__(
        self, url: str, state_dir: Path, submit: Submit, counters: SourceCounters, accounts: AccountMap
    ) -> None:
        self._url = url
        self._submit = submit
        self._counters = counters
        self._accounts = accounts
        self._away = Outage()
        self._untaken = Outage()
        self._refused = Paced[str]()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect; from then on it keeps at it. Raises SettingsError for a URL that cannot be read."""
        check_url(self._url)
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop; rows that the log has not confirmed stay where they are."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                outbox = await Outbox.connect(self._url)
                try:
                    self._reached()
                    failures = 0
                    await self._empty(outbox)
                finally:
                    await outbox.close()
            except SourceAway as error:
                self._lost(str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to leave rows where they are
                _log.exception("postgres source failed", error=repr(error))
            failures += 1
            await asyncio.sleep(_pause(failures))

    async def _empty(self, outbox: Outbox) -> None:
        """Take rows for as long as there are any, then wait for others, without end."""
        failures = 0
        while True:
            try:
                async with outbox.take() as taken:
                    await self._tell(taken)
            except LogError as error:
                # The rows are still there, and another publisher may have more luck with them meanwhile.
                failures += 1
                self._not_taken(str(error))
                await asyncio.sleep(_pause(failures))
                continue
            failures = 0
            self._taken()
            if not taken.rows:
                self._counters.lag(0.0)
            if not taken.more:
                await outbox.wait(random.uniform(LOOK_SECONDS / 2, LOOK_SECONDS))  # noqa: S311 - jitter

    async def _tell(self, taken: Taken) -> None:
        if not taken.rows:
            return
        self._counters.lag(max(row.waited for row in taken.rows))
        ingested = time.time()
        changes: list[Change] = []
        for row in taken.rows:
            found = change_of(row, ingested)
            if isinstance(found, Change):
                changes.append(found)
            else:
                taken.refused[row.seq] = found
                self._refuse(row.seq, found)
        mapped = self._accounts.mapped(changes)
        await self._submit(mapped)
        self._counters.event(len(mapped))
        self._counters.unmapped(len(changes) - len(mapped))

    def _refuse(self, seq: int, why: str) -> None:
        times = self._refused.happened("", time.monotonic())
        if times:
            _log.error("a row of the outbox is not valid and stays in the outbox", seq=seq, reason=why, times=times)

    def _reached(self) -> None:
        self._counters.connected(True)
        told = self._away.mended(time.monotonic())
        if told is not None:
            _log.info("the outbox can be reached again", seconds=told.seconds, failures=told.failures)

    def _lost(self, why: str) -> None:
        self._counters.connected(False, why)
        told = self._away.failed(time.monotonic())
        if told is not None:
            event = "the outbox is away" if told.stage is Stage.BEGUN else "the outbox is still away"
            _log.warning(event, reason=why, seconds=told.seconds, failures=told.failures)

    def _not_taken(self, why: str) -> None:
        told = self._untaken.failed(time.monotonic())
        if told is not None and told.stage is Stage.BEGUN:
            _log.warning("rows stay in the outbox: the log takes no changes", reason=why)

    def _taken(self) -> None:
        told = self._untaken.mended(time.monotonic())
        if told is not None:
            _log.info("the log takes rows of the outbox again", seconds=told.seconds)


def _pause(failures: int) -> float:
    first, most = RETRY_SECONDS
    ceiling = min(most, first * 2 ** min(failures, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
