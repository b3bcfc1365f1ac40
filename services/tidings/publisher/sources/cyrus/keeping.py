"""Puts what was taken in into the journal. It may wait for the disk as long as it likes: nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import structlog

from tidings.errors import NotificationError
from tidings.ops.paced import Paced, Trouble
from tidings.publisher.sources.cyrus.event import read_event
from tidings.publisher.sources.cyrus.inbox import Inbox
from tidings.publisher.sources.cyrus.merging import Known, merged
from tidings.publisher.sources.journal.writer import JournalWriter

SETTLE_SECONDS: Final = 0.01
"""One change is several events; what comes within this time is kept together."""
MAX_TOGETHER: Final = 1_000
AGAIN_SECONDS: Final = 1.0
"""Until the journal is tried again."""
LOOK_SECONDS: Final = 10.0
"""How often everybody is told to look, at most: each time is work for the mail server."""

_log = structlog.get_logger("tidings.cyrus")


class Keeper:
    """Keeps what comes to the inbox, until nothing more comes."""

    def __init__(self, inbox: Inbox, journal: JournalWriter, *, virtual_domains: bool) -> None:
        self._inbox = inbox
        self._journal = journal
        self._virtual_domains = virtual_domains
        self._known = Known()
        self._waiting: list[dict[str, Any]] = []
        self._lost = False
        self._told_lost = -LOOK_SECONDS
        self._losses = Paced[str]()
        self._trouble = Trouble()

    def was_away(self) -> None:
        """Nobody knows what happened before: everybody is to look. Raises OSError when the journal takes nothing."""
        self._journal.lost()
        self._told_lost = time.monotonic()

    def run(self) -> None:
        """Return once nothing more comes and all that came is kept, or the journal does not take it.

        What is not kept then, and what was lost and not told yet, `was_away` tells at the next start.
        """
        while not self._inbox.ended:
            self._inbox.wait(self._seconds_to_wait())
            if not self._inbox.closed:
                time.sleep(SETTLE_SECONDS)
            if not self._waiting:
                self._take(*self._inbox.take(MAX_TOGETHER))
            if not self._keep():
                if self._inbox.closed:
                    return
                self._inbox.wait_closed(AGAIN_SECONDS)

    def _seconds_to_wait(self) -> float | None:
        if self._waiting:
            return 0.0
        return max(0.0, self._told_lost + LOOK_SECONDS - time.monotonic()) if self._lost else None

    def _take(self, messages: list[bytes], lost: Mapping[str, int]) -> None:
        events = []
        unreadable: dict[str, int] = {}
        for message in messages:
            try:
                event = read_event(message, virtual_domains=self._virtual_domains)
            except NotificationError as error:
                unreadable[str(error)] = unreadable.get(str(error), 0) + 1
            else:
                if event is not None:
                    events.append(event)
        for reason, times in (*lost.items(), *unreadable.items()):
            self._lose(reason, times)
        self._waiting = merged(events, self._known, lambda: uuid4().hex, time.time())

    def _lose(self, reason: str, times: int) -> None:
        self._lost = True
        if self._losses.happened(reason, time.monotonic()):
            _log.error(
                "notifications were lost, all clients will be asked to resynchronise", reason=reason, times=times
            )

    def _keep(self) -> bool:
        """Keep what waits; False: the journal cannot be used, and it still waits."""
        try:
            if self._waiting and not self._journal.append(self._waiting):
                self._lose("the journal is full", len(self._waiting))
            self._waiting = []
            if self._lost and time.monotonic() - self._told_lost >= LOOK_SECONDS:
                self.was_away()
                self._lost = False
        except OSError as error:
            if told := self._trouble.happened(time.monotonic()):
                reason = error.strerror or str(error)
                _log.error("the journal cannot be written, trying again", reason=reason, seconds=round(told.seconds))
            return False
        if told := self._trouble.over(time.monotonic()):
            _log.info("the journal can be written again", seconds=round(told.seconds))
        return True
