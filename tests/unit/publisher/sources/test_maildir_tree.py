from __future__ import annotations

from pathlib import Path

import pytest

from tidings.publisher.sources.maildir_diff import INBOX, Listing
from tidings.publisher.sources.maildir_tree import MaildirTree, RootAwayError


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


def test_folders_are_the_inbox_and_dot_directories(root: Path, tree: MaildirTree) -> None:
    (root / "alice" / ".lock").touch()
    (root / "alice" / ".Link").symlink_to(root / "bob")
    assert tree.folders("alice") == [INBOX, b".Work"]
    assert tree.folders("bob") == [INBOX]
    assert tree.folders("nobody") is None


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
