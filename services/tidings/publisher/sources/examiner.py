"""Looks at Maildirs: sets watches, lists, compares with the snapshot. Runs in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.agenda import Look
from tidings.publisher.sources.maildir_diff import (
    INBOX,
    MESSAGE_DIRECTORIES,
    Difference,
    Finding,
    Listing,
    Scope,
    account_of,
    arrived,
    compare,
    either,
)
from tidings.publisher.sources.maildir_tree import MaildirTree, RootAwayError
from tidings.publisher.sources.snapshot import Snapshot
from tidings.publisher.sources.watches import NO_WATCH_LEFT, Directory, NoWatchLeftError, Watches

MAX_REPORTED: Final = 1_000

_log = structlog.get_logger()


@dataclass(slots=True)
class Report:
    """What a look gave: differences to announce, scopes to look at next, and those that have to be polled."""

    findings: list[Finding] = field(default_factory=list)
    next: list[Look] = field(default_factory=list)
    unwatched: list[Scope] = field(default_factory=list)


class Examiner:
    """Not thread-safe: all of it is called from one thread."""

    def __init__(self, tree: MaildirTree, snapshot: Snapshot, watches: Watches, metrics: PublisherMetrics) -> None:
        self._tree = tree
        self._snapshot = snapshot
        self._watches = watches
        self._metrics = metrics
        self._reported: set[tuple[str, object]] = set()

    def arrive(self) -> list[Scope]:
        """Begin to watch the root, and list everything below it. Raises OSError when the root cannot be read."""
        self._watches.clear()
        self._tree.arrive()
        self._watches.add(())
        self._tree.confirm()
        return self.everything()

    def everything(self) -> list[Scope]:
        """Every account there is or was. Raises OSError when the root cannot be read."""
        accounts = dict.fromkeys(self._snapshot.accounts())
        for name in self._tree.directories():
            account = account_of(name)
            if account is not None:
                accounts[account] = None
            elif self._first_time("name", name):
                _log.warning("maildir skipped, its name is no account", directory=repr(name))
        return [Scope(account, None) for account in accounts]

    def root_is_away(self) -> bool:
        """Whether the root that arrived is not in its place any more."""
        try:
            self._tree.confirm()
        except RootAwayError:
            return True
        return False

    def examine(self, looks: Iterable[Look]) -> Report:
        """Look. Raises RootAwayError when what is missing may be missing with the root."""
        report = Report()
        for look in looks:
            scope = look.scope
            try:
                if scope.folder is None:
                    folders = self._folders(scope, report)
                    report.next += [Look(Scope(scope.account, folder), look.noticed) for folder in folders]
                else:
                    started = time.perf_counter()
                    difference = self._look(look, scope.folder, report)
                    self._metrics.maildir_scan_seconds.observe(time.perf_counter() - started)
                    self._reported.discard(("unreadable", scope))
                    if difference is not None:
                        report.findings.append(Finding(scope.account, scope.folder, look.noticed, difference))
            except OSError as error:
                report.unwatched.append(scope)
                if self._first_time("unreadable", scope):
                    _log.warning(
                        "maildir unreadable", account=scope.account, folder=repr(scope.folder), error=str(error)
                    )
        self._tree.confirm()
        return report

    def _folders(self, scope: Scope, report: Report) -> list[bytes]:
        """The folders there are or were."""
        directory = (scope.account.encode(),)
        self._watch(scope, [directory], report)
        there = self._tree.folders(scope.account)
        if there is None:
            self._watches.discard(directory)
        return list(dict.fromkeys([*(there or ()), *self._snapshot.folders(scope.account)]))

    def _look(self, look: Look, folder: bytes, report: Report) -> Difference | None:
        """What happened to a folder, or None when nothing did."""
        account = look.scope.account
        if look.arrivals is not None:
            known = self._snapshot.known(account, folder, look.arrivals)
            if known is not None:
                difference = arrived(self._tree.are_messages(account, folder, look.arrivals), known)
                return difference if difference.events else None
        return self._look_at_all(look, folder, report)

    def _look_at_all(self, look: Look, folder: bytes, report: Report) -> Difference | None:
        account = look.scope.account
        above = (account.encode(),) if folder == INBOX else (account.encode(), folder)
        directories = [above, *((*above, each) for each in MESSAGE_DIRECTORIES)]
        known = self._snapshot.messages(account, folder)
        baseline = known is None and look.noticed is None and not self._snapshot.complete
        before = self._tree.listing(account, folder) if baseline else None
        # Watched before it is listed: what comes later is told by an event, what came earlier is in the list.
        self._watch(look.scope, directories, report)
        after = self._tree.listing(account, folder)
        if after is None:
            for directory in directories if folder != INBOX else directories[1:]:
                self._watches.discard(directory)
        if before is not None and after is not None:
            # The very first look: what was there before the watch is not news.
            return Difference(compare(before.messages, after).events, stored=after.messages)
        difference = self._compare(known, after, account, folder)
        unchanged = not difference.events and difference.exists == (known is not None)
        return None if unchanged else difference

    def _compare(
        self, known: Mapping[bytes, str] | None, after: Listing | None, account: str, folder: bytes
    ) -> Difference:
        """Compare, and believe that something is gone only when it is not in a second list either (see listing)."""
        difference = compare(known, after)
        if not difference.removed:
            return difference
        again = self._tree.listing(account, folder)
        return compare(known, again if after is None or again is None else either(after, again))

    def _watch(self, scope: Scope, directories: Sequence[Directory], report: Report) -> None:
        try:
            for directory in directories:
                self._watches.add(directory)
        except NoWatchLeftError:
            report.unwatched.append(scope)
            if self._first_time("no watch left", None):
                _log.error("maildir polled instead of watched", error=NO_WATCH_LEFT)

    def _first_time(self, kind: str, what: object) -> bool:
        """Whether this is worth a log line: the first of its kind, and not the thousandth."""
        key = kind, what
        if key in self._reported or len(self._reported) >= MAX_REPORTED:
            return False
        self._reported.add(key)
        return True
