"""Nothing in an account leads to another's mail, whatever its user puts there."""

from __future__ import annotations

import mailbox
import os
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.descriptors import open_files
from tests.support.waiting import patient
from tidings.errors import MailboxError, NoSuchMailbox, StorageFault
from tidings.webmail.mailboxes import Mailboxes

SECRET = b"From: boss@example.org\nSubject: secret\n\nof alice\n"
OWN = b"From: boss@example.org\nSubject: own\n\nof mallory\n"
ID = urlsafe_b64encode(b"1.a").rstrip(b"=").decode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for account in ("alice", "mallory"):
        maildir = mailbox.Maildir(tmp_path / account, create=True)
        maildir.add_folder("Work")
    (tmp_path / "alice" / "cur" / "1.a:2,S").write_bytes(SECRET)
    (tmp_path / "alice" / ".Work" / "cur" / "1.a:2,S").write_bytes(SECRET)
    return tmp_path


def _link_cur(mallory: Path) -> None:
    (mallory / "cur").rmdir()
    (mallory / "cur").symlink_to("../alice/cur")


def _link_new(mallory: Path) -> None:
    (mallory / "new").rmdir()
    (mallory / "new").symlink_to(mallory.with_name("alice") / "cur")


def _link_file(mallory: Path) -> None:
    (mallory / "cur" / "1.a:2,").symlink_to("../../alice/cur/1.a:2,S")


def _link_folder(mallory: Path) -> None:
    (mallory / ".Else").symlink_to("../alice/.Work")


def _link_in_folder(mallory: Path) -> None:
    (mallory / ".Work" / "cur").rmdir()
    (mallory / ".Work" / "cur").symlink_to("../../alice/cur")


def _second_name_of_a_link(mallory: Path) -> None:
    (mallory / "link").symlink_to("../alice/cur")
    (mallory / "cur").rmdir()
    os.link(mallory / "link", mallory / "cur", follow_symlinks=False)


PLANTS = [_link_cur, _link_new, _link_file, _link_folder, _link_in_folder, _second_name_of_a_link]


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_of_anothers_is_shown_flagged_or_deleted(root: Path, plant: Callable[[Path], None]) -> None:
    plant(root / "mallory")
    mailboxes = Mailboxes(root)
    with suppress(NoSuchMailbox):
        assert mailboxes.inbox("mallory").messages == ()
    for touch in (
        lambda: mailboxes.read("mallory", ID),
        lambda: mailboxes.set_unread("mallory", ID, True),
        lambda: mailboxes.delete("mallory", ID),
    ):
        with pytest.raises(MailboxError):
            touch()
    for folder in ("alice", "alice/.Work"):
        assert os.listdir(root / folder / "cur") == ["1.a:2,S"]


def test_nothing_is_delivered_elsewhere(root: Path) -> None:
    (root / "mallory" / "tmp").rmdir()
    (root / "mallory" / "tmp").symlink_to("../alice/new")
    with pytest.raises(StorageFault):
        Mailboxes(root).deliver("mallory", OWN)
    assert os.listdir(root / "alice" / "new") == []


def test_an_exchange_of_directories_while_they_are_read_shows_nothing(root: Path) -> None:
    mallory = root / "mallory"
    (mallory / "cur" / "1.a:2,S").write_bytes(OWN)
    (mallory / "link").symlink_to("../alice/cur")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            for first, second in (("cur", "own"), ("link", "cur"), ("cur", "link"), ("own", "cur")):
                (mallory / first).rename(mallory / second)

    thread = threading.Thread(target=exchange)
    thread.start()
    shown: set[str] = set()
    turns, deadline = 0, time.monotonic() + patient(30)
    try:
        # The name may stand for nothing that is shown for as long as the other thread does not go on.
        while turns < 500 or (not shown and time.monotonic() < deadline):
            turns += 1
            # What was listed is remembered by content, so each time anew.
            mailboxes = Mailboxes(root)
            with suppress(MailboxError):
                shown |= {message.summary.subject for message in mailboxes.inbox("mallory").messages}
            with suppress(MailboxError):
                shown.add(mailboxes.read("mallory", ID)[0].subject)
    finally:
        over.set()
        thread.join()
    assert shown == {"own"}


def test_an_account_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (root / "linked").symlink_to("alice")
    assert [message.summary.subject for message in Mailboxes(root).inbox("linked").messages] == ["secret"]


def test_the_search_for_a_message_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.webmail.maildir.MAX_FOLDERS", 2)
    for name in ("A", "B", "C"):
        for each in ("new", "cur"):
            (root / "mallory" / name / each).mkdir(parents=True)
        (root / "mallory" / name / "cur" / f"1.{name}").write_bytes(OWN)
    mailboxes = Mailboxes(root)
    found = []
    for name in ("A", "B", "C"):
        with suppress(MailboxError):
            found.append(mailboxes.read("mallory", urlsafe_b64encode(f"1.{name}".encode()).decode()))
    assert len(found) < 3


def test_nothing_stays_open(root: Path) -> None:
    before = open_files()
    mailboxes = Mailboxes(root)
    mailboxes.deliver("mallory", OWN)
    mailboxes.inbox("mallory")
    mailboxes.read("alice", ID)
    for account in ("mallory", "nobody"):
        with suppress(MailboxError):
            mailboxes.read(account, ID)
    (root / "mallory" / "cur").rmdir()
    assert mailboxes.accounts() == ["alice"]
    assert not open_files() - before
