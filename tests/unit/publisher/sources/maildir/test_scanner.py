from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asyncinotify import Inotify
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.maildir.agenda import Look
from tidings.publisher.sources.maildir.diff import INBOX, Directory, Listing, Scope
from tidings.publisher.sources.maildir.scanner import Report, Scanner
from tidings.publisher.sources.maildir.snapshot import Snapshot
from tidings.publisher.sources.maildir.tree import MaildirTree, RootAwayError
from tidings.publisher.sources.maildir.watches import NoWatchLeftError, Watches

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
    """A scanner and what it works with, all real."""

    def __init__(self, path: Path, inotify: Inotify) -> None:
        self.root = path / "mail"
        self.root.mkdir()
        self.tree = Tree(self.root)
        self.snapshot = Snapshot(path / "state", self.root)
        self.watches = Bounded(inotify, self.tree)
        self.scanner = Scanner(self.tree, self.snapshot, self.watches, PublisherMetrics(CollectorRegistry()))

    def create(self, *folders: str) -> None:
        for folder in folders:
            for directory in ("new", "cur", "tmp"):
                (self.root / folder / directory).mkdir(parents=True)

    def deliver(self, name: str, folder: str = "alice") -> None:
        (self.root / folder / "new" / name).touch()

    def look(self, *scopes: Scope, noticed: float | None = 1.0) -> Report:
        report = self.scanner.scan(Look(scope, noticed) for scope in scopes)
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
        desk.scanner.arrive()
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
        scopes = known.scanner.everything()
        assert scopes == known.scanner.everything()
    assert set(scopes) == {Scope("alice", None), Scope("bob", None), Scope("carol", None)}
    assert [line["event"] for line in logs] == ["maildir skipped, its name cannot be an account"] * 2


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
    report = desk.scanner.scan([Look(ALICE, 1.0, frozenset(names))])
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


def written(desk: Desk, name: bytes, event: str = "MessageNew", arrivals: frozenset[bytes] | None = None) -> set[str]:
    """Look at what somebody has written to."""
    report = desk.scanner.scan([Look(ALICE, 1.0, arrivals, frozenset([(name, event)]))])
    desk.snapshot.advance(report.findings)
    return {event for finding in report.findings for event in finding.difference.events}


def test_what_was_told_before_it_was_complete_is_told_again(known: Desk) -> None:
    known.deliver("1,S=3")
    assert written(known, b"1", arrivals=frozenset([b"1,S=3"])) == {"MessageNew"}
    assert written(known, b"1", arrivals=frozenset([b"1,S=3"])) == {"MessageNew"}
    assert written(known, b"1", "MessageAppend") == {"MessageAppend"}
    assert written(known, b"2") == set()


@pytest.mark.parametrize("first", [ALICE, Scope("alice", b".Work")], ids=["left first", "come first"])
@pytest.mark.parametrize("name", ["cur/1,U=2:2,", "new/1", "cur/1;2,"])
def test_a_move_is_no_delivery_in_whichever_order_the_folders_are_looked_at(
    known: Desk, name: str, first: Scope
) -> None:
    known.create("alice/.Work")
    known.look(Scope("alice", b".Work"))
    known.deliver("1")
    known.look(ALICE)
    (known.root / "alice" / "new" / "1").rename(known.root / "alice" / ".Work" / name)
    told = [known.told(scope) for scope in sorted((ALICE, Scope("alice", b".Work")), key=lambda each: each != first)]
    assert sorted(map(sorted, told)) == [["MessageAppend"], ["MessageExpunge"]]


def test_a_move_with_all_of_its_folder_is_no_delivery(known: Desk) -> None:
    known.create("alice/.Work")
    known.look(Scope("alice", b".Work"))
    known.deliver("1", "alice/.Work")
    known.look(Scope("alice", b".Work"))
    (known.root / "alice" / ".Work").rename(known.root / "alice" / "Work")
    assert known.told(Scope("alice", b".Work")) == {"MailboxDelete", "MessageExpunge"}
    assert known.told(Scope("alice", b"Work")) == {"MailboxCreate", "MessageAppend"}


def test_an_arrival_by_a_move_is_no_delivery(known: Desk) -> None:
    known.create("alice/.Work")
    known.look(Scope("alice", b".Work"))
    known.deliver("1", "alice/.Work")
    known.look(Scope("alice", b".Work"))
    known.deliver("1")
    assert arrive(known, b"1") == {"MessageAppend"}


def test_what_leaves_and_comes_again_is_a_delivery(known: Desk) -> None:
    known.deliver("1")
    known.look(ALICE)
    (known.root / "alice" / "new" / "1").unlink()
    assert known.told(ALICE) == {"MessageExpunge"}
    known.deliver("1")
    assert known.told(ALICE) == {"MessageNew"}


def through(desk: Desk, *scopes: Scope) -> set[tuple[bytes, str]]:
    """Look, and at all that this leads to."""
    told = set()
    looks = [Look(scope, 1.0) for scope in scopes]
    while looks:
        report = desk.scanner.scan(looks)
        desk.snapshot.advance(report.findings)
        told |= {(finding.folder, event) for finding in report.findings for event in finding.difference.events}
        looks = report.next
    return told


def test_folders_are_found_however_deep_they_are(known: Desk) -> None:
    known.create("alice/Archive/2024", "alice/.Work")
    assert through(known, Scope("alice", None)) == {
        (b"Archive/2024", "MailboxCreate"),
        (b".Work", "MailboxCreate"),
    }
    known.create("alice/Archive/2025/01")
    assert through(known, Scope("alice", b"Archive/2025")) == {(b"Archive/2025/01", "MailboxCreate")}
    # Whatever is watched tells of itself.
    assert known.look(Scope("alice", b"Archive")).next == []
    (known.root / "alice" / "Archive").rename(known.root / "alice" / "Old")
    assert through(known, Scope("alice", b"Archive"), Scope("alice", b"Old")) == {
        *((folder, "MailboxDelete") for folder in (b"Archive/2024", b"Archive/2025/01")),
        *((folder, "MailboxCreate") for folder in (b"Old/2024", b"Old/2025/01")),
    }


def test_a_directory_becomes_a_folder_when_it_gets_its_own(known: Desk) -> None:
    (known.root / "alice" / "Later").mkdir()
    assert through(known, Scope("alice", b"Later")) == set()
    assert (b"alice", b"Later") in known.watches
    known.create("alice/Later")
    assert through(known, Scope("alice", b"Later")) == {(b"Later", "MailboxCreate")}


def test_directories_that_are_no_folders_are_watched_in_numbers_that_are_bounded(
    known: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.publisher.sources.maildir.scanner.MAX_BARE", 3)
    for number in range(10):
        (known.root / "alice" / "home" / str(number) / "deeper").mkdir(parents=True)
    known.create("alice/Archive")
    watched = len(known.watches)
    with capture_logs() as logs:
        assert through(known, Scope("alice", None)) == {(b"Archive", "MailboxCreate")}
        through(known, Scope("alice", None))
    # The three, and those of the folder.
    assert len(known.watches) == watched + 3 + 3
    assert [line["log_level"] for line in logs] == ["warning"]
    # One that goes makes room.
    for each in (known.root / "alice" / "home").iterdir():
        (each / "deeper").rmdir()
        each.rmdir()
    (known.root / "alice" / "home").rmdir()
    through(known, *(Scope("alice", b"/".join(each[1:])) for each in known.watches.directories() if len(each) > 1))
    known.create("alice/Other/deep")
    assert through(known, Scope("alice", None)) == {(b"Other/deep", "MailboxCreate")}


def test_what_was_not_announced_is_told_again(known: Desk) -> None:
    known.deliver("1")
    first = known.scanner.scan([Look(ALICE, 1.0)])
    assert known.scanner.scan([Look(ALICE, 1.0)]) == first
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
    assert known.scanner.root_is_away()
    known.root.mkdir()
    with pytest.raises(RootAwayError):
        known.look(ALICE)
    assert known.scanner.arrive() == [Scope("alice", None)]
    assert not known.scanner.root_is_away()
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
    monkeypatch.setattr("tidings.publisher.sources.maildir.scanner.MAX_REPORTED", 2)
    known.create(".a", ".b", ".c")
    with capture_logs() as logs:
        known.scanner.everything()
    assert len(logs) == 2
