from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asyncinotify import Inotify
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.agenda import Look
from tidings.publisher.sources.examiner import Examiner, Report
from tidings.publisher.sources.maildir_diff import INBOX, Listing, Scope
from tidings.publisher.sources.maildir_tree import MaildirTree, RootAwayError
from tidings.publisher.sources.snapshot import Snapshot
from tidings.publisher.sources.watches import Directory, NoWatchLeftError, Watches

ALICE = Scope("alice", INBOX)


class Tree(MaildirTree):
    """A tree in which a test can let something happen before, or go wrong at, the nth listing from now."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.before: dict[int, Callable[[], object]] = {}

    def listing(self, account: str, folder: bytes) -> Listing | None:
        self.before = {number - 1: happen for number, happen in self.before.items()}
        happen = self.before.pop(0, None)
        if happen is not None:
            happen()
        return super().listing(account, folder)


class Bounded(Watches):
    """As many watches as a test allows."""

    limit = 100

    def add(self, directory: Directory) -> None:
        if len(self) >= self.limit:
            raise NoWatchLeftError(errno.ENOSPC, "No space left on device")
        super().add(directory)


class Desk:
    """An examiner and what it works with, all real."""

    def __init__(self, path: Path, inotify: Inotify) -> None:
        self.root = path / "mail"
        self.root.mkdir()
        self.tree = Tree(self.root)
        self.snapshot = Snapshot(path / "state", self.root)
        self.watches = Bounded(inotify, self.tree.root)
        self.examiner = Examiner(self.tree, self.snapshot, self.watches, PublisherMetrics(CollectorRegistry()))

    def create(self, *folders: str) -> None:
        for folder in folders:
            for directory in ("new", "cur", "tmp"):
                (self.root / folder / directory).mkdir(parents=True)

    def deliver(self, name: str, folder: str = "alice") -> None:
        (self.root / folder / "new" / name).touch()

    def look(self, *scopes: Scope, noticed: float | None = 1.0) -> Report:
        report = self.examiner.examine(Look(scope, noticed) for scope in scopes)
        self.snapshot.advance(report.findings)
        return report

    def told(self, *scopes: Scope, noticed: float | None = 1.0) -> set[str]:
        return {
            event for finding in self.look(*scopes, noticed=noticed).findings for event in finding.difference.events
        }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Inotify() as inotify:
        desk = Desk(tmp_path, inotify)
        desk.create("alice")
        desk.examiner.arrive()
        yield desk
        desk.snapshot.close()


@pytest.fixture
def known(desk: Desk) -> Desk:
    """A desk that has seen alice's inbox before."""
    desk.look(ALICE)
    desk.snapshot.finish()
    return desk


def test_accounts_are_those_that_are_there_and_those_that_were(known: Desk) -> None:
    known.create("bob", ".cache")
    (known.root / "two\nlines").mkdir()
    (known.root / "alice").rename(known.root / "carol")
    with capture_logs() as logs:
        scopes = known.examiner.everything()
        assert scopes == known.examiner.everything()
    assert set(scopes) == {Scope("alice", None), Scope("bob", None), Scope("carol", None)}
    assert [line["event"] for line in logs] == ["maildir skipped, its name is no account"] * 2


def test_an_account_leads_to_its_folders_there_and_gone(known: Desk) -> None:
    known.create("alice/.Old")
    known.look(Scope("alice", b".Old"))
    (known.root / "alice" / ".Old").rename(known.root / "alice" / ".New")
    report = known.look(Scope("alice", None), Scope("nobody", None))
    assert set(report.next) == {Look(Scope("alice", folder), 1.0) for folder in (INBOX, b".Old", b".New")}
    assert report.findings == []


def test_a_delivery_is_told_once(known: Desk) -> None:
    known.deliver("1")
    assert known.told(ALICE) == {"MessageNew"}
    assert known.told(ALICE) == set()


def arrive(desk: Desk, *names: bytes) -> set[str]:
    """Look only at what came into `new/`."""
    report = desk.examiner.examine([Look(ALICE, 1.0, frozenset(names))])
    desk.snapshot.advance(report.findings)
    return {event for finding in report.findings for event in finding.difference.events}


def test_an_arrival_is_told_without_a_listing(known: Desk) -> None:
    known.tree.before[1] = lambda: pytest.fail("a listing")
    known.deliver("1")
    assert arrive(known, b"1", b"2") == {"MessageNew"}  # the second has been picked up already
    assert arrive(known, b"1") == set()
    known.tree.before.clear()
    (known.root / "alice" / "cur" / "2:2,S").touch()
    assert known.told(ALICE) == {"MessageRead"}


def test_an_arrival_that_is_no_message_is_not_told(known: Desk) -> None:
    (known.root / "alice" / "new" / "1").mkdir()
    assert arrive(known, b"1") == set()


def test_an_arrival_in_an_unknown_folder_is_a_look_at_everything(desk: Desk) -> None:
    desk.deliver("1")
    assert arrive(desk, b"1") == {"MailboxCreate", "MessageNew"}


def test_what_was_not_announced_is_told_again(known: Desk) -> None:
    known.deliver("1")
    first = known.examiner.examine([Look(ALICE, 1.0)])
    assert known.examiner.examine([Look(ALICE, 1.0)]) == first
    assert [finding.difference.events for finding in first.findings] == [{"MessageNew"}]


def test_the_first_look_ever_is_a_baseline(desk: Desk) -> None:
    desk.deliver("1")
    assert desk.told(ALICE, noticed=None) == set()
    desk.deliver("2")
    assert desk.told(ALICE, noticed=None) == {"MessageNew"}


def test_what_comes_during_the_first_look_is_news(desk: Desk) -> None:
    desk.deliver("1")
    desk.tree.before[2] = lambda: desk.deliver("2")
    assert desk.told(ALICE, noticed=None) == {"MessageNew"}
    assert desk.snapshot.messages("alice", INBOX) == {b"1": "", b"2": ""}


def test_a_folder_that_vanishes_during_the_first_look_was_never_there(desk: Desk) -> None:
    desk.tree.before[2] = lambda: (desk.root / "alice").rename(desk.root / ".away")
    assert desk.look(ALICE, noticed=None).findings == []


def test_an_account_that_appears_while_others_are_taken_in_is_news(desk: Desk) -> None:
    desk.create("bob")
    desk.deliver("1", "bob")
    assert desk.told(Scope("bob", INBOX)) == {"MailboxCreate", "MessageNew"}


def test_after_the_baseline_an_unknown_folder_is_a_new_one(known: Desk) -> None:
    known.create("alice/.Work")
    assert known.told(Scope("alice", b".Work"), noticed=None) == {"MailboxCreate"}


def test_a_folder_that_is_gone_is_told_once(known: Desk) -> None:
    known.deliver("1")
    known.look(ALICE)
    watched = len(known.watches)
    (known.root / "alice").rename(known.root / ".away")
    assert known.told(ALICE) == {"MailboxDelete", "MessageExpunge"}
    assert known.told(ALICE) == set()
    known.look(Scope("alice", None))
    assert len(known.watches) < watched - 2


def test_a_rename_during_the_listing_is_no_expunge(known: Desk) -> None:
    known.deliver("1")
    known.look(ALICE)
    hidden = known.root / "alice" / "tmp" / "1"
    known.tree.before[1] = lambda: (known.root / "alice" / "new" / "1").rename(hidden)
    known.tree.before[2] = lambda: hidden.rename(known.root / "alice" / "cur" / "1:2,S")
    assert known.told(ALICE) == {"MessageRead"}


def test_an_expunge_is_one_when_a_second_look_agrees(known: Desk) -> None:
    known.deliver("1")
    known.look(ALICE)
    (known.root / "alice" / "new" / "1").unlink()
    assert known.told(ALICE) == {"MessageExpunge"}


def test_a_folder_that_vanishes_between_the_looks_is_deleted(known: Desk) -> None:
    known.deliver("1")
    known.look(ALICE)
    (known.root / "alice" / "new" / "1").unlink()
    known.tree.before[2] = lambda: (known.root / "alice").rename(known.root / ".away")
    assert known.told(ALICE) == {"MailboxDelete", "MessageExpunge"}


def test_without_the_root_nothing_is_said_to_be_gone(known: Desk) -> None:
    known.root.rename(known.root.with_name("moved"))
    with pytest.raises(RootAwayError):
        known.look(ALICE)
    assert known.examiner.root_is_away()
    known.root.mkdir()
    with pytest.raises(RootAwayError):
        known.look(ALICE)
    assert known.examiner.arrive() == [Scope("alice", None)]
    assert not known.examiner.root_is_away()
    assert known.told(ALICE) == {"MailboxDelete"}


def test_without_watches_a_folder_is_compared_and_then_polled(known: Desk) -> None:
    known.watches.limit = 0
    known.deliver("1")
    with capture_logs() as logs:
        report = known.look(ALICE)
        again = known.look(ALICE, Scope("alice", None))
    assert [finding.difference.events for finding in report.findings] == [{"MessageNew"}]
    assert report.unwatched == [ALICE]
    assert again.unwatched == [ALICE, Scope("alice", None)]
    assert len(logs) == 1
    assert "fs.inotify.max_user_watches" in logs[0]["error"]


def test_an_unreadable_folder_keeps_its_snapshot_and_is_polled(known: Desk) -> None:
    def refuse() -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    known.deliver("1")
    with capture_logs() as logs:
        for _ in range(2):
            known.tree.before[1] = refuse
            report = known.look(ALICE)
            assert (report.findings, report.unwatched) == ([], [ALICE])
        assert len(logs) == 1
        assert known.told(ALICE) == {"MessageNew"}
        known.tree.before[1] = refuse
        known.look(ALICE)
    assert [line["account"] for line in logs] == ["alice", "alice"]


def test_the_log_lines_are_bounded(known: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.publisher.sources.examiner.MAX_REPORTED", 2)
    known.create(".a", ".b", ".c")
    with capture_logs() as logs:
        known.examiner.everything()
    assert len(logs) == 2
