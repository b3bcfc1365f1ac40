"""The journal source: tells what programs beside a mail server kept on disk while no publisher took it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import structlog
from asyncinotify import Inotify, Mask

from tidings.errors import LogError
from tidings.ops.outage import Outage, Stage
from tidings.ops.paced import Paced
from tidings.publisher.accounts import AccountMap
from tidings.publisher.sources.journal.directory import Claimed, JournalDirectory, Unusable, read_lines
from tidings.publisher.sources.journal.format import says_lost
from tidings.publisher.sources.journal.reading import Told, told_by
from tidings.publisher.sources.metrics import SourceCounters
from tidings.publisher.sources.submit import Submit
from tidings.wire.change import EVERY_ACCOUNT, Change, anything_changed

LOOK_SECONDS: Final = 2.0
"""How often the directory is looked at although nothing tells of it."""
SETTLE_SECONDS: Final = 0.005
"""What is written within this time is claimed at once."""
UNFINISHED_SECONDS: Final = 1.0
"""How long a line at the end may take to be written."""
MAX_BACKOFF_SECONDS: Final = 5.0

_WRITTEN = Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.ONLYDIR

T = TypeVar("T")

_log = structlog.get_logger()


class JournalSource:
    """Watches a journal's directory, which need not be there yet, and tells what comes in the order of the journal.

    It has no state beside the journal itself.
    """

    name = "journal"

    def __init__(self, directory: Path, submit: Submit, counters: SourceCounters, accounts: AccountMap) -> None:
        self._path = directory
        self._submit = submit
        self._counters = counters
        self._accounts = accounts
        self._outage = Outage()
        self._unusable = Paced[Unusable]()
        self._refused = Paced[str]()
        self._thread = ThreadPoolExecutor(1, self.name)
        self._directory: JournalDirectory | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._counters.connected(False, "the journal was not read yet")
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop. What is not confirmed yet is told again after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._counters.connected(False, "the journal is not read any more")
        self._thread.shutdown()

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except OSError as error:
                self._away(error.strerror or str(error))
            except Exception:  # noqa: BLE001 - a fault of ours is no reason to miss what comes later
                self._counters.connected(False, "reading the journal failed")
                _log.exception("journal source failed", directory=str(self._path))
            await asyncio.sleep(LOOK_SECONDS)

    async def _follow(self) -> None:
        """Tell what is there and what comes, until the directory is another one. Raises OSError."""
        try:
            directory = await self._call(self._open)
            with Inotify() as inotify:
                inotify.add_watch(directory.own_path, _WRITTEN)
                while await self._call(directory.is_in_place):
                    await self._tell_all(directory)
                    await _anything(inotify)
        finally:
            await self._call(self._close)
        self._away("the directory is gone")

    def _open(self) -> JournalDirectory:
        # Kept here by the thread: whoever waits for it may be cancelled.
        self._directory = JournalDirectory(self._path)
        return self._directory

    def _close(self) -> None:
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    async def _tell_all(self, directory: JournalDirectory) -> None:
        while claimed := await self._claim(directory):
            if says_lost(claimed.name):
                await self._look_everywhere("lost")
            else:
                await self._tell(claimed)
            await self._call(partial(directory.remove, claimed))
        for unusable in directory.unusable:
            if times := self._unusable.happened(unusable, time.monotonic()):
                _log.warning("a file was left in the journal", file=unusable.name, reason=unusable.reason, times=times)

    async def _claim(self, directory: JournalDirectory) -> Claimed | None:
        """The next file. Only now is it known that files can be claimed: the directory may be read-only."""
        claimed = await self._call(directory.claim)
        self._there()
        return claimed

    async def _tell(self, claimed: Claimed) -> None:
        unreadable = 0
        while told := await self._call(partial(_read, claimed)):
            unreadable += told.unreadable
            for reason in told.refused:
                if times := self._refused.happened(reason, time.monotonic()):
                    _log.error("an event in the journal was refused", file=claimed.name, reason=reason, times=times)
            changes = self._accounts.mapped(told.changes)
            self._counters.unmapped(len(told.changes) - len(changes))
            await self._hand_over(changes)
        if unreadable:
            _log.error("lines of the journal cannot be read", file=claimed.name, lines=unreadable)
            await self._look_everywhere("unreadable")

    async def _look_everywhere(self, reason: str) -> None:
        """What was lost may be of any account."""
        _log.warning(
            "changes were lost, all clients are asked to resynchronise", reason=reason, directory=str(self._path)
        )
        self._counters.gap(reason)
        change = anything_changed(EVERY_ACCOUNT, source="/journal", event_id=uuid4().hex, ingested=time.time())
        await self._hand_over([change])

    async def _hand_over(self, changes: Sequence[Change]) -> None:
        """Return when the changes are safe."""
        failures = 0
        while True:
            try:
                await self._submit(changes)
                break
            except LogError:
                failures += 1
                ceiling = min(MAX_BACKOFF_SECONDS, 0.1 * 2 ** min(failures, 10))
                await asyncio.sleep(random.uniform(ceiling / 2, ceiling))  # noqa: S311 - jitter
        self._counters.event(len(changes))
        times = [change.time for change in changes if change.time is not None]
        if times:
            self._counters.lag(time.time() - min(times))

    def _there(self) -> None:
        self._counters.connected(True)
        if (told := self._outage.mended(time.monotonic())) is not None:
            _log.info("the journal can be read again", directory=str(self._path), seconds=told.seconds)

    def _away(self, reason: str) -> None:
        self._counters.connected(False, f"{self._path}: {reason}")
        if (told := self._outage.failed(time.monotonic())) is not None:
            event = "the journal cannot be read" if told.stage is Stage.BEGUN else "the journal still cannot be read"
            _log.warning(event, directory=str(self._path), reason=reason, seconds=told.seconds)


async def _anything(inotify: Inotify) -> None:
    """Return once something was written, or after a while."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await inotify.get()
    except TimeoutError:
        return
    await asyncio.sleep(SETTLE_SECONDS)


def _read(claimed: Claimed) -> Told | None:
    """What the next lines tell; None at the end of the file."""
    lines = read_lines(claimed.file)
    if lines and not lines[-1].endswith(b"\n"):
        # Whoever writes it may be about to end it.
        time.sleep(UNFINISHED_SECONDS)
        claimed.file.seek(-len(lines[-1]), 1)
        lines[-1:] = read_lines(claimed.file)
    return told_by(lines, time.time()) if lines else None
