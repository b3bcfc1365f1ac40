from __future__ import annotations

from pathlib import Path

import pytest

from tidings.publisher.sources.maildir.diff import INBOX, Listing
from tidings.publisher.sources.maildir.tree import MaildirTree, RootAwayError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mail"
    for directory in ("alice/new", "alice/cur", "alice/tmp", "alice/.Work/cur", "bob"):
        (root / directory).mkdir(parents=True)
    return root


@pytest.fixture
def tree(root: Path) -> MaildirTree:
    tree = MaildirTree(root)
    tree.arrive()
    return tree


def test_accounts_are_the_directories_of_the_root(root: Path, tree: MaildirTree, tmp_path: Path) -> None:
    (root / "a file").touch()
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    (root / "carol").symlink_to(tmp_path / "elsewhere")
    assert sorted(tree.directories()) == [b"alice", b"bob", b"carol"]


def test_folders_may_be_any_directory_but_those_of_messages(root: Path, tree: MaildirTree) -> None:
    (root / "alice" / ".lock").touch()
    (root / "alice" / ".Link").symlink_to(root / "bob")
    for directory in ("Archive/2024/cur", "Archive/.hidden", "Archive/tmp"):
        (root / "alice" / directory).mkdir(parents=True)
    assert sorted(tree.folders("alice") or ()) == [b".Work", b"Archive"]
    assert tree.folders("alice", b"Archive") == [b"Archive/2024"]
    assert tree.folders("alice", b"Archive/2024") == []
    assert tree.folders("alice", b"Archive/2023") is None
    assert tree.folders("bob") == []
    assert tree.folders("nobody") is None


def test_what_cannot_be_asked_in_the_root_is_left_out(root: Path, tree: MaildirTree) -> None:
    (root / "loop").symlink_to(root / "loop")
    assert sorted(tree.directories()) == [b"alice", b"bob"]


def test_an_account_that_is_a_file_is_none(root: Path, tree: MaildirTree) -> None:
    (root / "file").touch()
    assert tree.folders("file") is None
    assert tree.listing("file", INBOX) is None


def test_only_regular_files_are_messages(root: Path, tree: MaildirTree, tmp_path: Path) -> None:
    inbox = root / "alice"
    (inbox / "new" / "1.a").touch()
    (inbox / "cur" / "2.b:2,S").touch()
    (inbox / "cur" / "directory").mkdir()
    (inbox / "cur" / "link").symlink_to(inbox / "new" / "1.a")
    (inbox / "cur" / ".lock").touch()
    (inbox / "tmp" / "3.c").touch()
    assert tree.listing("alice", INBOX) == Listing({b"1.a": "", b"2.b": "S"}, frozenset([b"1.a"]))


def test_an_arrival_is_a_message_unless_it_is_something_else(root: Path, tree: MaildirTree) -> None:
    new = root / "alice" / "new"
    (new / "1").touch()
    (new / "2").mkdir()
    (new / "3").symlink_to("1")
    assert tree.are_messages("alice", INBOX, [b"1", b"2", b"3", b"moved on"]) == {b"1", b"moved on"}
    assert tree.are_messages("nobody", INBOX, [b"1"]) == {b"1"}


def test_names_need_not_be_text(root: Path, tree: MaildirTree) -> None:
    Path(str(root / "alice" / "new" / "1.\udcff")).touch()
    found = tree.listing("alice", INBOX)
    assert found is not None
    assert list(found.messages) == [b"1.\xff"]


def test_a_folder_has_new_or_cur(root: Path, tree: MaildirTree) -> None:
    assert tree.listing("alice", b".Work") == Listing({})
    assert tree.listing("bob", INBOX) is None
    assert tree.listing("alice", b".Gone") is None


def test_links_below_the_account_are_not_followed(root: Path, tree: MaildirTree) -> None:
    (root / "alice" / "new" / "1.a").touch()
    (root / "bob" / "new").symlink_to(root / "alice" / "new")
    (root / "bob" / "cur").mkdir()
    assert tree.listing("bob", INBOX) == Listing({})
    (root / "bob" / ".Work").symlink_to(root / "alice" / ".Work")
    assert tree.listing("bob", b".Work") is None
    assert tree.folders("bob", b".Work") is None
    (root / "bob" / "Sub").mkdir()
    (root / "bob" / "Sub" / "deeper").symlink_to(root / "alice")
    assert tree.folders("bob", b"Sub") == []
    assert tree.listing("bob", b"Sub/deeper") is None


def test_folders_may_be_nested(root: Path, tree: MaildirTree) -> None:
    (root / "alice" / "Archive" / "2024" / "cur").mkdir(parents=True)
    (root / "alice" / "Archive" / "2024" / "cur" / "1:2,S").touch()
    assert tree.listing("alice", b"Archive") is None
    assert tree.listing("alice", b"Archive/2024") == Listing({b"1": "S"})


def test_a_directory_is_told_from_the_one_that_takes_its_place(root: Path, tree: MaildirTree) -> None:
    first = tree.identity((b"bob",))
    assert first is not None
    assert tree.identity((b"bob", b"cur")) is None
    (root / "bob").rename(root / "old")
    (root / "bob").mkdir()
    assert tree.identity((b"bob",)) != first == tree.identity((b"old",))


def test_the_root_is_known_by_more_than_its_name(root: Path, tree: MaildirTree) -> None:
    tree.confirm()
    root.rename(root.with_name("moved"))
    with pytest.raises(RootAwayError):
        tree.confirm()
    root.mkdir()
    with pytest.raises(RootAwayError):
        tree.confirm()
    tree.arrive()
    tree.confirm()
