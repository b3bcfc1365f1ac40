"""The Maildir source: inotify says where to look, the comparison with the snapshot says what changed.

Events are only hints, so that none is worth losing sleep over: a folder that was touched is listed and compared, and
what differs is announced. The snapshot advances when the log has confirmed. A crash, an overflow of the kernel's queue
(IN_Q_OVERFLOW), a root that vanishes and returns and a bus that is away are therefore one case: compare again. Only a
delivery, which is what people wait for, does not wait for the listing of a folder that may be large.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import structlog
from asyncinotify import Event, Mask

from tidings.errors import LogError
from tidings.ops.backoff import Backoff
from tidings.publisher.accounts import AccountMap
from tidings.publisher.database import StateWrites
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.maildir.agenda import Agenda, Look
from tidings.publisher.sources.maildir.diff import Directory, Scope, changes, place_of
from tidings.publisher.sources.maildir.hints import Happened, look_at
from tidings.publisher.sources.maildir.places import Places
from tidings.publisher.sources.maildir.scanner import Report, Scanner
from tidings.publisher.sources.maildir.snapshot import FILE, Snapshot
from tidings.publisher.sources.maildir.tree import MaildirTree, RootAwayError
from tidings.publisher.sources.maildir.watches import GONE, Watches, new_inotify
from tidings.publisher.sources.metrics import SourceCounters
from tidings.publisher.sources.submit import Submit

SETTLE_SECONDS: Final = 0.005
"""What is touched within this time is looked at once: a rename is two events, a delivery often several."""
ROUND_SCOPES: Final = 64
POLL_SECONDS: Final = 30.0
"""How often what cannot be watched is looked at: accounts that are links, and folders that no watch is left for."""
POLLED_AT_ONCE: Final = 1_000
"""Directories that are asked for before a delivery may be looked at."""
ROOT_POLL_SECONDS: Final = 1.0
FIRST_LOOK_SECONDS: Final = 5.0
BACKOFF: Final = Backoff(shortest=0.1, first=0.2, longest=5.0)

T = TypeVar("T")

_log = structlog.get_logger()


class MaildirSource:
    """Watches a directory that holds one Maildir per account, and submits what changes."""

    name = "maildir"

    def __init__(
        self,
        root: Path,
        state_dir: Path,
        submit: Submit,
        counters: SourceCounters,
        accounts: AccountMap,
        metrics: PublisherMetrics,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._root = root
        self._state_dir = state_dir
        self._submit = submit
        self._counters = counters
        self._accounts = accounts
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._agenda = Agenda()
        self._wake = asyncio.Event()
        self._lost = asyncio.Event()
        self._looked = asyncio.Event()
        self._unwatched: set[Scope] = set()
        self._behind: set[Scope] = set()
        self._tasks: list[asyncio.Task[None]] = []
        # Directories are listed, and the snapshot is read and written, in one thread: neither stops the loop.
        self._thread = ThreadPoolExecutor(1, "maildir")
        self._taking_in = False
        self._writes = StateWrites(FILE, metrics.failures.labels("maildir").inc)

    async def start(self) -> None:
        """Begin to watch, and look for accounts once; a root that takes long to read is left to do so meanwhile.

        Raises SettingsError when the state directory or inotify cannot be used.
        """
        self._inotify = new_inotify()
        try:
            self._snapshot = await self._call(lambda: Snapshot(self._state_dir, self._root))
        except BaseException:
            self._inotify.close()
            self._thread.shutdown()
            raise
        tree = MaildirTree(self._root)
        self._watches = Watches(self._inotify, tree)
        self._scanner = Scanner(tree, self._snapshot, self._watches, self._metrics)
        self._places = Places(tree, self._watches)
        self._tasks = [
            asyncio.create_task(part(), name="maildir") for part in (self._follow, self._announce, self._poll)
        ]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), FIRST_LOOK_SECONDS)

    async def stop(self) -> None:
        """Stop watching. What is not announced yet is found again at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._call(self._snapshot.close)
        self._thread.shutdown()
        self._inotify.close()

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _follow(self) -> None:
        """Turn events into things to look at, from one arrival of the root to the next."""
        reason = "start"
        waiting = False
        while True:
            try:
                self._lost.clear()
                await self._rescan(self._scanner.arrive, reason)
                self._looked.set()
                waiting = False
                self._counters.connected(True)
                await self._listen_until_lost()
                reason = "root"
            except OSError as error:
                self._counters.connected(False, str(error))
                self._looked.set()
                if not waiting:
                    waiting = True
                    _log.warning("maildir root cannot be read, trying again", root=str(self._root), error=str(error))
                if isinstance(error, FileNotFoundError):
                    # Nothing is there to be taken in: all that comes is new.
                    await self._finish()
                await asyncio.sleep(ROOT_POLL_SECONDS)
            except Exception:  # noqa: BLE001 - a fault of ours is no reason to miss what comes later
                reason = "fault"
                self._fault("maildir watching failed")
                await asyncio.sleep(ROOT_POLL_SECONDS)

    async def _rescan(self, everything: Callable[[], list[Scope]], reason: str) -> None:
        scopes = await self._call(everything)
        self._taking_in = not await self._call(lambda: self._snapshot.complete)
        self._metrics.maildir_rescans.labels(reason).inc()
        _log.info("maildir scan", root=str(self._root), reason=reason, accounts=len(scopes))
        for scope in scopes:
            self._agenda.add(Look(scope))
        self._wake.set()
        await self._finish_taking_in()

    async def _finish_taking_in(self) -> None:
        """Once everything has been looked at, what is unknown is new."""
        if self._taking_in and not self._agenda.checking:
            self._taking_in = not await self._finish()

    async def _finish(self) -> bool:
        return await self._writes.took(self._call(self._snapshot.finish))

    async def _listen_until_lost(self) -> None:
        both = asyncio.create_task(self._listen()), asyncio.create_task(self._lost.wait())
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _listen(self) -> None:
        async for event in self._inotify:
            if Mask.Q_OVERFLOW in event.mask:
                await self._rescan(self._scanner.everything, "overflow")
            else:
                self._take(event)

    def _take(self, event: Event) -> None:
        directory = None if event.watch is None else self._watches.directory_of(event.watch)
        if event.watch is not None and Mask.IGNORED in event.mask:
            self._watches.ended(event.watch)
        if directory is None:
            return
        if event.mask & GONE:
            self._take_end(directory)
        if event.name is not None:
            name, is_directory = os.fsencode(event.name), Mask.ISDIR in event.mask
            look = look_at(directory, name, is_directory, _what(event.mask), time.time())
            if look is not None:
                self._look(look)

    def _take_end(self, directory: Directory) -> None:
        """A directory is gone, whatever its name stands for now."""
        scope = place_of(directory)
        if scope is not None:
            self._look(Look(scope, time.time()))
        elif not directory:
            self._lost.set()

    def _look(self, look: Look) -> None:
        self._agenda.add(look)
        self._wake.set()

    async def _announce(self) -> None:
        """Look where there is something to see and announce it; later again, if the log does not take it."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(SETTLE_SECONDS)
            while taken := self._agenda.take(ROUND_SCOPES):
                if await self._announced(taken):
                    failures = 0
                    continue
                for look in taken:
                    self._agenda.add(look)
                self._metrics.maildir_retries.inc()
                failures += 1
                await asyncio.sleep(BACKOFF.pause(failures, random.random()))  # noqa: S311 - jitter

    async def _announced(self, taken: Sequence[Look]) -> bool:
        try:
            report = await self._call(lambda: self._scanner.scan(taken))
            found = changes(report.findings, time.time(), lambda: uuid4().hex)
            announced = self._accounts.mapped(found)
            await self._submit(announced)
            # Only now: what is lost on the way is found again by the next comparison.
            if not await self._writes.took(self._call(lambda: self._snapshot.advance(report.findings))):
                # It has been announced. The next poll compares again.
                self._behind.update(look.scope for look in taken)
            await self._go_on(report)
        except RootAwayError:
            # Everything is looked at again when it is back.
            self._lost.set()
            return True
        except LogError:
            return False
        except Exception:  # noqa: BLE001 - as above
            self._fault("maildir announcing failed")
            return False
        self._counters.event(len(announced))
        self._counters.unmapped(len(found) - len(announced))
        now = time.time()
        waited = [now - change.time for change in announced if change.time is not None]
        if waited:
            self._counters.lag(max(waited))
        for change in announced:
            self._metrics.maildir_changes.labels(change.event).inc()
        return True

    async def _go_on(self, report: Report) -> None:
        for look in report.next:
            self._agenda.add(look)
        await self._finish_taking_in()
        self._unwatched.update(report.unwatched)
        self._metrics.maildir_unwatched.set(len(self._unwatched))
        self._metrics.maildir_watches.set(len(self._watches))

    async def _poll(self) -> None:
        """Look from time to time where no event will tell: nor does one when a directory above is another one."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                if await self._call(self._scanner.root_is_away):
                    self._lost.set()
                else:
                    await self._look_for_replaced()
            except OSError:
                # The root cannot be read, of which whoever follows it tells.
                self._lost.set()
            except Exception:  # noqa: BLE001 - as above
                self._fault("maildir polling failed")
            for scope in self._unwatched | self._behind:
                self._look(Look(scope))
            self._unwatched.clear()
            self._behind.clear()

    async def _look_for_replaced(self) -> None:
        places = await self._call(self._places.doubtful)
        for start in range(0, len(places), POLLED_AT_ONCE):
            some = places[start : start + POLLED_AT_ONCE]
            for look in await self._call(partial(self._places.replaced, some)):
                self._look(look)

    def _fault(self, what: str) -> None:
        self._metrics.failures.labels("maildir").inc()
        _log.exception(what, root=str(self._root))


def _what(mask: Mask) -> Happened:
    if mask & (Mask.CREATE | Mask.MOVED_TO):
        return Happened.CAME
    return Happened.WRITTEN if mask & Mask.CLOSE_WRITE else Happened.WENT
