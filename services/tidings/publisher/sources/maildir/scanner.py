"""Looks at Maildirs: sets watches, lists, compares with the snapshot. Runs in a thread of its own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.maildir.agenda import Look
from tidings.publisher.sources.maildir.departed import Departed
from tidings.publisher.sources.maildir.diff import (
    INBOX,
    MESSAGE_DIRECTORIES,
    Difference,
    Directory,
    Finding,
    Listing,
    Scope,
    account_of,
    arrived,
    compare,
    directory_of,
    either,
)
from tidings.publisher.sources.maildir.snapshot import Snapshot
from tidings.publisher.sources.maildir.tree import MaildirTree, RootAwayError
from tidings.publisher.sources.maildir.watches import NO_WATCH_LEFT, NoWatchLeftError, Watches
from tidings.wire import mailfile

MAX_REPORTED: Final = 1_000
MAX_BARE: Final = 200
"""Directories of an account that have neither `new/` nor `cur/` and are watched all the same: folders come in them."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Report:
    """What a look gave: differences to announce, scopes to look at next, and those that have to be polled."""

    findings: list[Finding] = field(default_factory=list)
    next: list[Look] = field(default_factory=list)
    unwatched: list[Scope] = field(default_factory=list)


class Scanner:
    """Not thread-safe: all of it is called from one thread."""

    def __init__(self, tree: MaildirTree, snapshot: Snapshot, watches: Watches, metrics: PublisherMetrics) -> None:
        self._tree = tree
        self._snapshot = snapshot
        self._watches = watches
        self._metrics = metrics
        self._departed = Departed()
        self._bare: dict[str, set[bytes]] = defaultdict(set)
        self._reported: set[tuple[str, object]] = set()

    def arrive(self) -> list[Scope]:
        """Begin to watch the root, and list everything below it. Raises OSError when the root cannot be read."""
        self._watches.clear()
        self._bare.clear()
        self._tree.arrive()
        self._watches.add_root()
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
                _log.warning("maildir skipped, its name cannot be an account", directory=repr(name))
        return [Scope(account, None) for account in accounts]

    def root_is_away(self) -> bool:
        """Whether the root that arrived is not in its place any more."""
        try:
            self._tree.confirm()
        except RootAwayError:
            return True
        return False

    def scan(self, looks: Iterable[Look]) -> Report:
        """Look. Raises RootAwayError when what is missing may be missing with the root."""
        report = Report()
        for look in looks:
            scope = look.scope
            try:
                if scope.folder is None:
                    self._look_for_folders(look, report)
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

    def _look_for_folders(self, look: Look, report: Report) -> None:
        """Look at the folders there are or were, next."""
        account = look.scope.account
        self._watch(look.scope, [directory_of(account, INBOX)], report)
        below = self._tree.folders(account)
        if below is None:
            self._bare.pop(account, None)
        there = [] if below is None else [INBOX, *below]
        folders = dict.fromkeys([*there, *self._snapshot.folders(account)])
        report.next += [Look(Scope(account, folder), look.noticed) for folder in folders]

    def _look(self, look: Look, folder: bytes, report: Report) -> Difference | None:
        """What happened to a folder, or None when nothing did."""
        account = look.scope.account
        rewritten = self._rewritten(look, folder)
        difference = self._look_at_arrivals(look, folder) if look.arrivals is not None else None
        if difference is None:
            known = self._snapshot.messages(account, folder)
            difference = self._look_at_all(look, folder, known, report)
            gone = difference.removed if difference.exists else (known or ())
            self._departed.add(account, folder, gone, time.monotonic())
            changed = difference.exists != (known is not None)
        else:
            changed = False
        events = difference.events | rewritten
        if not events and not changed:
            return None
        return Difference(events, difference.exists, difference.stored, difference.removed)

    def _rewritten(self, look: Look, folder: bytes) -> frozenset[str]:
        """What is to be told once more, since somebody wrote to it after it was told."""
        known = self._snapshot.known(look.scope.account, folder, (name for name, _ in look.written))
        return frozenset(event for name, event in look.written if known and name in known)

    def _look_at_arrivals(self, look: Look, folder: bytes) -> Difference | None:
        """What came, where that is all that happened; None where the folder is not known."""
        account = look.scope.account
        names = look.arrivals or frozenset()
        known = self._snapshot.known(account, folder, [mailfile.read(name).unique for name in names])
        if known is None:
            return None
        there = self._tree.are_messages(account, folder, names)
        return arrived(there, known, partial(self._familiar, account, folder))

    def _look_at_all(self, look: Look, folder: bytes, known: Mapping[bytes, str] | None, report: Report) -> Difference:
        account = look.scope.account
        directory = directory_of(account, folder)
        if known is None and self._too_many_bare(account, folder):
            return Difference(exists=False)
        baseline = known is None and look.noticed is None and not self._snapshot.complete
        before = self._tree.listing(account, folder) if baseline else None
        # Watched before it is listed: what comes later is told by an event, what came earlier is in the list.
        self._watch(look.scope, [directory, *((*directory, each) for each in MESSAGE_DIRECTORIES)], report)
        after = self._tree.listing(account, folder)
        if folder != INBOX:
            self._look_further(look, folder, after, report)
        if before is not None and after is not None:
            # The very first look: what was there before the watch is not news.
            return Difference(compare(before.messages, after).events, stored=after.messages)
        return self._compare(known, after, account, folder)

    def _look_further(self, look: Look, folder: bytes, listing: Listing | None, report: Report) -> None:
        """Look at the folders below a folder next, where no watch tells of them: there are new ones, or it is gone."""
        account = look.scope.account
        below = self._tree.folders(account, folder)
        bare = self._bare[account]
        if below is None:
            bare.discard(folder)
            next_ones = [each for each in self._snapshot.folders(account) if each.startswith(folder + b"/")]
        else:
            (bare.discard if listing is not None else bare.add)(folder)
            next_ones = [each for each in below if directory_of(account, each) not in self._watches]
        report.next += [Look(Scope(account, each), look.noticed) for each in next_ones]

    def _too_many_bare(self, account: str, folder: bytes) -> bool:
        """Whether a directory that is no folder yet is not worth a watch: there are too many of them."""
        bare = self._bare.get(account, ())
        if len(bare) < MAX_BARE or folder in bare or folder == INBOX or self._tree.listing(account, folder) is not None:
            return False
        if self._first_time("bare", account):
            _log.warning("maildir has too many directories that are not folders, some are not watched", account=account)
        return True

    def _compare(
        self, known: Mapping[bytes, str] | None, after: Listing | None, account: str, folder: bytes
    ) -> Difference:
        """Compare, and believe that something is gone only when it is not in a second list either (see listing)."""
        familiar = partial(self._familiar, account, folder)
        difference = compare(known, after, familiar)
        if not difference.removed:
            return difference
        again = self._tree.listing(account, folder)
        return compare(known, again if after is None or again is None else either(after, again), familiar)

    def _familiar(self, account: str, folder: bytes, name: bytes) -> bool:
        """Whether a message that is new in this folder was moved or copied into it."""
        return self._snapshot.elsewhere(account, name) or self._departed.knows(account, folder, name, time.monotonic())

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
