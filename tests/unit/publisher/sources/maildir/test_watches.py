from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from asyncinotify import Event, Inotify, Mask, Watch

from tidings.errors import SettingsError
from tidings.publisher.sources.maildir.tree import MaildirTree
from tidings.publisher.sources.maildir.watches import NoWatchLeftError, Watches, new_inotify


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    with new_inotify() as inotify:
        yield inotify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for directory in ("alice/new", "alice/cur", "bob/new"):
        (tmp_path / directory).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def watches(inotify: Inotify, root: Path) -> Watches:
    return Watches(inotify, MaildirTree(root))


def events(inotify: Inotify, watches: Watches) -> list[tuple[tuple[bytes, ...] | None, str | None]]:
    """Where something happened, and to which entry, until nothing more is queued."""
    inotify.sync_timeout = 0
    found = []
    while (event := inotify.sync_get()) is not None:
        found.append((_place(event, watches), None if event.name is None else str(event.name)))
    return found


def _place(event: Event, watches: Watches) -> tuple[bytes, ...] | None:
    assert event.watch is not None
    place = watches.directory_of(event.watch)
    if Mask.IGNORED in event.mask:
        watches.ended(event.watch)
    return place


def test_an_event_names_its_directory(inotify: Inotify, watches: Watches, root: Path) -> None:
    watches.add_root()
    for directory in ((b"alice",), (b"alice", b"new"), (b"alice", b"new")):
        watches.add(directory)
    assert len(watches) == 3
    (root / "alice" / "new" / "1").touch()
    (root / "carol").mkdir()
    # That it came, and that it is complete.
    assert events(inotify, watches) == [((b"alice", b"new"), "1"), ((b"alice", b"new"), "1"), ((), "carol")]


def test_what_is_not_a_directory_is_left_alone(watches: Watches, root: Path) -> None:
    (root / "alice" / "cur").rmdir()
    (root / "alice" / "cur").symlink_to(root / "bob")
    watches.add((b"nobody",))
    watches.add((b"alice", b"cur"))
    assert len(watches) == 0


def test_an_account_may_be_a_link(inotify: Inotify, watches: Watches, root: Path) -> None:
    (root / "carol").symlink_to(root / "bob")
    watches.add((b"carol",))
    (root / "bob" / "cur").mkdir()
    assert events(inotify, watches) == [((b"carol",), "cur")]


def test_links_below_an_account_are_not_followed(inotify: Inotify, watches: Watches, root: Path) -> None:
    (root / "bob" / ".Work").symlink_to(root / "alice")
    watches.add((b"bob", b".Work"))
    watches.add((b"bob", b".Work", b"cur"))
    assert len(watches) == 0


def test_a_place_is_known_to_be_anothers(watches: Watches, root: Path, tmp_path: Path) -> None:
    (root / "carol").symlink_to(tmp_path / "target")
    assert not watches.moved((b"carol",))
    (tmp_path / "target").mkdir()
    assert watches.moved((b"carol",))
    watches.add((b"carol",))
    assert not watches.moved((b"carol",))
    (tmp_path / "target").rename(tmp_path / "old")
    assert watches.moved((b"carol",))
    (tmp_path / "target").mkdir()
    assert watches.moved((b"carol",))
    watches.add((b"carol",))
    assert not watches.moved((b"carol",))
    (tmp_path / "target").rmdir()
    watches.add((b"carol",))
    assert watches.directories() == []


def test_a_directory_that_is_renamed_is_known_by_its_new_name(inotify: Inotify, watches: Watches, root: Path) -> None:
    watches.add((b"alice", b"new"))
    (root / "alice").rename(root / "carol")
    watches.add((b"carol", b"new"))
    watches.discard((b"alice", b"new"))
    (root / "carol" / "new" / "1").mkdir()
    assert events(inotify, watches) == [((b"carol", b"new"), "1")]


def test_a_directory_that_takes_anothers_place_is_watched_instead(
    inotify: Inotify, watches: Watches, root: Path
) -> None:
    watches.add((b"alice",))
    (root / "alice").rename(root / "old")
    (root / "alice").mkdir()
    watches.add((b"alice",))
    assert len(watches) == 1
    (root / "old" / "x").mkdir()
    (root / "alice" / "y").mkdir()
    assert [name for place, name in events(inotify, watches) if place == (b"alice",)] == ["y"]


def test_what_is_discarded_tells_nothing(inotify: Inotify, watches: Watches, root: Path) -> None:
    watches.add((b"alice", b"new"))
    watches.add((b"bob", b"new"))
    watches.discard((b"alice", b"new"))
    watches.discard((b"alice", b"new"))
    (root / "alice" / "new" / "1").touch()
    assert {place for place, _ in events(inotify, watches)} == {None}
    watches.clear()
    assert len(watches) == 0


def test_a_deleted_directory_is_forgotten(inotify: Inotify, watches: Watches, root: Path) -> None:
    watches.add((b"alice", b"new"))
    (root / "alice" / "new").rmdir()
    assert events(inotify, watches) == [((b"alice", b"new"), None)]
    assert len(watches) == 0
    watches.discard((b"alice", b"new"))


def test_the_root_tells_that_it_goes(inotify: Inotify, watches: Watches, root: Path) -> None:
    watches.add_root()
    root.rename(root.with_name("moved"))
    assert events(inotify, watches) == [((), None)]


class Full(Inotify):
    """The kernel at one of its limits; the real ones are the whole machine's."""

    error = errno.ENOSPC

    def add_watch(self, path: os.PathLike[str] | bytes | str, mask: Mask) -> Watch:
        raise OSError(self.error, os.strerror(self.error))


@pytest.mark.parametrize(("error", "raised"), [(errno.ENOSPC, NoWatchLeftError), (errno.EACCES, PermissionError)])
def test_no_watch_left_and_not_readable_are_told_apart(error: int, raised: type[OSError], root: Path) -> None:
    with closing(Full()) as inotify:
        inotify.error = error
        with pytest.raises(raised):
            Watches(inotify, MaildirTree(root)).add_root()


@pytest.mark.parametrize(("error", "raised"), [(errno.EMFILE, SettingsError), (errno.ENOMEM, OSError)])
def test_no_inotify_instance_left(error: int, raised: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Inotify:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("tidings.publisher.sources.maildir.watches.Inotify", refuse)
    with pytest.raises(raised, match=r"max_user_instances|Cannot allocate"):
        new_inotify()
