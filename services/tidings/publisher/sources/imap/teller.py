"""What was told of each account, and telling it: to the log first, then to the state."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from tidings.errors import LogError
from tidings.publisher.accounts import AccountMap
from tidings.publisher.database import StateWrites
from tidings.publisher.sources.imap.folders import Folder
from tidings.publisher.sources.imap.state import FILE, State
from tidings.publisher.sources.metrics import SourceCounters
from tidings.publisher.sources.submit import Submit
from tidings.wire.change import DATA_TYPES, Change, anything_changed

SOURCE: Final = "imap"
MAX_BACKOFF_SECONDS: Final = 5.0

T = TypeVar("T")


class Teller:
    """Shared by all accounts of a server. The state is read and written in one thread of its own."""

    def __init__(
        self, submit: Submit, counters: SourceCounters, accounts: AccountMap, failed: Callable[[], object]
    ) -> None:
        """`failed` is called for each write of the state that failed."""
        self._submit = submit
        self._counters = counters
        self._accounts = accounts
        self._thread = ThreadPoolExecutor(1, SOURCE)
        self._writes = StateWrites(FILE, failed)
        self._lost = False

    async def open(self, state_dir: Path, url: str) -> None:
        """Open the state. Raises SettingsError when the directory cannot be used."""
        try:
            self._state = await self._call(lambda: State(state_dir, url))
        except BaseException:
            self._thread.shutdown()
            raise
        self._lost = await self._call(lambda: self._state.lost)

    async def close(self) -> None:
        """Close the state. Nobody tells any more."""
        await self._call(self._state.close)
        self._thread.shutdown()

    async def keep(self, logins: Set[str]) -> None:
        """There are no other accounts any more."""
        await self._writes.took(self._call(lambda: self._state.keep(logins)))

    async def known(self, login: str) -> Mapping[bytes, Folder] | None:
        """What was told of an account; None: nothing ever."""
        return await self._call(lambda: self._state.folders(login))

    async def tell(
        self,
        login: str,
        before: Mapping[bytes, Folder] | None,
        after: Mapping[bytes, Folder],
        happened: Set[str],
        *,
        gap: str = "",
        noticed: float | None = None,
    ) -> None:
        """Tell what happened between two looks at an account, by RFC 5423 name, and remember the later look.

        `gap` says why something else may have happened, too. `noticed` is when this was heard of, in Unix seconds.
        """
        if before is None and self._lost:
            gap = "state"
        if happened or gap:
            await self._tell(login, happened, gap, noticed)
        if before != after:
            # Only now: what is lost on the way is found again by the next comparison.
            await self._writes.took(self._call(lambda: self._state.save(login, before or {}, after)))

    async def _tell(self, login: str, happened: Set[str], gap: str, noticed: float | None) -> None:
        account = self._accounts.account_of(login)
        if account is None:
            self._counters.unmapped(len(happened) + bool(gap))
            return
        now = time.time()
        changes = [
            Change(account, dict.fromkeys(DATA_TYPES[event]), event, uuid4().hex, SOURCE, noticed, now)
            for event in sorted(happened)
        ]
        if gap:
            self._counters.gap(gap)
            changes.append(anything_changed(account, source=SOURCE, event_id=uuid4().hex, ingested=now))
        failures = 0
        while not await self._submitted(changes):
            failures += 1
            self._counters.lag(time.time() - (noticed or now))
            ceiling = min(MAX_BACKOFF_SECONDS, 0.1 * 2 ** min(failures, 10))
            await asyncio.sleep(random.uniform(ceiling / 2, ceiling))  # noqa: S311 - jitter
        self._counters.event(len(changes))
        self._counters.lag(time.time() - (noticed or now))

    async def _submitted(self, changes: list[Change]) -> bool:
        try:
            await self._submit(changes)
        except LogError:
            return False
        return True

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
