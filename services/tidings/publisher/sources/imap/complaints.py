"""What the log says of servers and accounts that cannot be listened to: each trouble once, then at a pace."""

from __future__ import annotations

import time
from typing import Final

import structlog

from tidings.errors import ImapError
from tidings.ops.outage import Outage, Stage, Told
from tidings.ops.paced import Paced
from tidings.publisher.sources.imap.accounts_file import Entry
from tidings.publisher.sources.imap.refusals import ADVICE, UNTOLD
from tidings.publisher.sources.metrics import SourceCounters

_SHARED: Final = {
    "away": ("imap connection failed", "imap connections still fail", "imap connections work again"),
    "limit": ("imap server reached a limit", "imap server is still at a limit", "imap server has room again"),
}
"""Troubles of the server's: as they begin, last and end. Others are those of one credential."""

_log = structlog.get_logger()


class Complaints:
    """Of one server. A source that listens to no account is not connected."""

    def __init__(self, url: str, counters: SourceCounters) -> None:
        self._url = url
        self._counters = counters
        self._outages = {reason: Outage() for reason in _SHARED}
        self._paced = Paced[tuple[str, str]]()
        self._failing: dict[str, str] = {}
        self._listened: set[str] = set()

    def failed(self, entry: Entry, error: ImapError, again: float) -> None:
        """An account cannot be listened to; it is tried again in so many seconds."""
        reason, now = error.reason, time.monotonic()
        self._failing[entry.user] = reason
        self._listened.discard(entry.user)
        for other, outage in self._outages.items():
            if other == reason:
                self._shared(other, outage.failed(now, entry.user), entry, str(error))
            else:
                self._shared(other, outage.mended(now, entry.user), entry, "")
        self._connected()
        if reason in self._outages:
            return
        # A master user whose password is wrong is one trouble.
        times = self._paced.happened((reason, entry.master or entry.user), now)
        if times:
            _log.error(
                f"imap account cannot be listened to: {reason}",
                url=self._url,
                login=entry.user,
                **({"master": entry.master} if entry.master else {}),
                line=entry.line,
                error=str(error),
                advice=ADVICE[reason],
                times=times,
                again_in_seconds=round(again, 1),
            )

    def mended(self, entry: Entry) -> None:
        """An account is listened to."""
        now = time.monotonic()
        reason = self._failing.pop(entry.user, None)
        self._listened.add(entry.user)
        for other, outage in self._outages.items():
            self._shared(other, outage.mended(now, entry.user), entry, "")
        self._connected()
        if reason is not None and reason not in self._outages:
            _log.info("imap account is listened to again", url=self._url, login=entry.user)

    def forget(self, entry: Entry) -> None:
        """An account is none any more, or its entry is another one."""
        self._failing.pop(entry.user, None)
        self._listened.discard(entry.user)
        for other, outage in self._outages.items():
            self._shared(other, outage.mended(time.monotonic(), entry.user), entry, "")
        self._connected()

    def fault(self, entry: Entry) -> None:
        """Something of ours went wrong."""
        self._failing[entry.user] = "fault"
        self._listened.discard(entry.user)
        _log.exception("imap account failed", url=self._url, login=entry.user)

    def untold(self, entry: Entry) -> None:
        """The server has not told of a change."""
        times = self._paced.happened(("untold", ""), time.monotonic())
        if times:
            _log.warning(
                "imap server does not tell of changes", url=self._url, login=entry.user, advice=UNTOLD, times=times
            )

    def _connected(self) -> None:
        self._counters.connected(bool(self._listened) or not self._failing)

    def _shared(self, reason: str, told: Told | None, entry: Entry, error: str) -> None:
        if told is None:
            return
        begun, lasts, over = _SHARED[reason]
        counted = {"url": self._url, "seconds": told.seconds, "failures": told.failures}
        if told.stage is Stage.OVER:
            _log.info(over, **counted)
            return
        event = begun if told.stage is Stage.BEGUN else lasts
        _log.warning(event, login=entry.user, error=error, advice=ADVICE[reason], **counted)
