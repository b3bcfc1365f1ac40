from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncinotify import Inotify

from tests.support.disk import mounted
from tidings.publisher.sources.maildir.agenda import Look
from tidings.publisher.sources.maildir.diff import INBOX, Scope
from tidings.publisher.sources.maildir.places import Places
from tidings.publisher.sources.maildir.tree import MaildirTree
from tidings.publisher.sources.maildir.watches import Watches

ALICE, LINKED = Scope("alice", None), Scope("linked", None)


class Desk:
    """Alice's inbox is watched."""

    def __init__(self, root: Path, inotify: Inotify) -> None:
        self.root = root
        for directory in ("alice/new", "alice/cur", "no\naccount"):
            (root / directory).mkdir(parents=True)
        tree = MaildirTree(root)
        self.watches = Watches(inotify, tree)
        self._places = Places(tree, self.watches)
        self.watches.add_root()
        for watched in ((b"alice",), (b"alice", b"new"), (b"alice", b"cur")):
            self.watches.add(watched)

    def polled(self) -> list[Look]:
        return self._places.replaced(self._places.doubtful())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Inotify() as inotify:
        yield Desk(tmp_path / "mail", inotify)


def test_nothing_is_looked_at_while_everything_is_in_its_place(desk: Desk) -> None:
    assert desk.polled() == []


def test_an_account_that_is_another_directory_is_noticed(desk: Desk, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (desk.root / "linked").symlink_to(target)
    assert desk.polled() == []
    target.mkdir()
    assert desk.polled() == [Look(LINKED)]
    desk.watches.add((b"linked",))
    assert desk.polled() == []
    target.rename(tmp_path / "old")
    assert desk.polled() == [Look(LINKED)]
    target.mkdir()
    assert desk.polled() == [Look(LINKED)]
    desk.watches.add((b"linked",))
    assert desk.polled() == []
    (desk.root / "linked").unlink()
    assert desk.polled() == [Look(LINKED)]


def test_a_mount_is_noticed_wherever_it_is(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with mounted(other, desk.root / "alice" / "cur"):
        assert desk.polled() == [Look(Scope("alice", INBOX))]
        desk.watches.add((b"alice", b"cur"))
        assert desk.polled() == []
    assert desk.polled() == [Look(Scope("alice", INBOX))]
    with mounted(other, desk.root / "alice"):
        assert desk.polled() == [Look(ALICE), Look(Scope("alice", INBOX))]


def test_a_root_that_is_away_is_told(desk: Desk) -> None:
    desk.root.rename(desk.root.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        desk.polled()
