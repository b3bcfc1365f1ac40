from __future__ import annotations

import mailbox
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from tidings.errors import NoSuchMailbox, NoSuchMessage
from tidings.webmail import mailboxes as module
from tidings.webmail.mailboxes import MAX_LISTED, Mailboxes


@pytest.fixture
def box(tmp_path: Path) -> mailbox.Maildir:
    return mailbox.Maildir(tmp_path / "alice", create=True)


@pytest.fixture
def mailboxes(tmp_path: Path, box: mailbox.Maildir) -> Mailboxes:
    return Mailboxes(tmp_path)


def raw(subject: str) -> bytes:
    return f"From: a@example.org\nSubject: {subject}\n\ntext of {subject}\n".encode()


def subjects(mailboxes: Mailboxes) -> list[str]:
    return [message.summary.subject for message in mailboxes.inbox("alice").messages]


def id_of(mailboxes: Mailboxes, subject: str) -> str:
    return next(m.id for m in mailboxes.inbox("alice").messages if m.summary.subject == subject)


def test_the_inbox_is_newest_first_and_counts_what_is_unread(
    mailboxes: Mailboxes, box: mailbox.Maildir, tmp_path: Path
) -> None:
    for age, subject in ((30, "oldest"), (20, "middle"), (10, "newest")):
        key = box.add(raw(subject))
        os.utime(tmp_path / "alice" / "new" / key, (0, 1_000_000 - age))
    mailboxes.set_unread("alice", id_of(mailboxes, "middle"), False)
    inbox = mailboxes.inbox("alice")
    assert [(m.summary.subject, m.unread) for m in inbox.messages] == [
        ("newest", True),
        ("middle", False),
        ("oldest", True),
    ]
    assert (inbox.total, inbox.unread) == (3, 2)
    assert inbox.messages[0].received == 1_000_000 - 10
    assert inbox.messages[0].touched > inbox.messages[0].received


def test_a_long_inbox_is_cut_and_still_counted(mailboxes: Mailboxes, tmp_path: Path) -> None:
    for number in range(MAX_LISTED + 5):
        (tmp_path / "alice" / "new" / f"{number}.x").write_bytes(raw(str(number)))
    inbox = mailboxes.inbox("alice")
    assert len(inbox.messages) == MAX_LISTED
    assert inbox.total == MAX_LISTED + 5


def test_what_is_no_message_is_left_out(mailboxes: Mailboxes, tmp_path: Path) -> None:
    (tmp_path / "alice" / "new" / ".hidden").write_bytes(raw("hidden"))
    (tmp_path / "alice" / "cur" / "folder").mkdir()
    (tmp_path / "alice" / "tmp" / "unfinished").write_bytes(raw("unfinished"))
    (tmp_path / "secret").write_bytes(raw("outside"))
    (tmp_path / "alice" / "new" / "link").symlink_to(tmp_path / "secret")
    assert mailboxes.inbox("alice").total == 0


def test_a_message_keeps_its_id_through_flags_by_anyone(mailboxes: Mailboxes, tmp_path: Path) -> None:
    (tmp_path / "alice" / "new" / "1.x").write_bytes(raw("a"))
    (message_id,) = (m.id for m in mailboxes.inbox("alice").messages)
    assert mailboxes.read("alice", message_id)[1] is True
    (tmp_path / "alice" / "new" / "1.x").rename(tmp_path / "alice" / "cur" / "1.x:2,FR")
    assert mailboxes.set_unread("alice", message_id, False) is True
    assert mailboxes.set_unread("alice", message_id, False) is False
    assert [path.name for path in (tmp_path / "alice" / "cur").iterdir()] == ["1.x:2,FRS"]
    assert mailboxes.set_unread("alice", message_id, True) is True
    assert [path.name for path in (tmp_path / "alice" / "cur").iterdir()] == ["1.x:2,FR"]
    assert mailboxes.read("alice", message_id)[0].text == "text of a\n"


def test_a_name_that_is_not_unicode_is_a_name(mailboxes: Mailboxes, tmp_path: Path) -> None:
    (tmp_path / "alice" / "new" / os.fsdecode(b"\xff\xfe.x")).write_bytes(raw("odd"))
    message_id = id_of(mailboxes, "odd")
    assert message_id.isascii()
    mailboxes.delete("alice", message_id)
    assert subjects(mailboxes) == []


def test_a_file_that_is_rewritten_is_read_again(mailboxes: Mailboxes, tmp_path: Path) -> None:
    path = tmp_path / "alice" / "new" / "1.x"
    path.write_bytes(raw("before"))
    assert subjects(mailboxes) == ["before"]
    path.write_bytes(raw("afterwards"))
    assert subjects(mailboxes) == ["afterwards"]


def test_delivery_passes_through_tmp(mailboxes: Mailboxes, box: mailbox.Maildir, tmp_path: Path) -> None:
    mailboxes.deliver("alice", raw("sent"))
    assert [message["subject"] for message in box] == ["sent"]
    assert list((tmp_path / "alice" / "tmp").iterdir()) == []
    assert len(list((tmp_path / "alice" / "new").iterdir())) == 1


Action = Callable[[Mailboxes, str], object]
ACTIONS: list[Action] = [
    lambda boxes, message_id: boxes.read("alice", message_id),
    lambda boxes, message_id: boxes.set_unread("alice", message_id, False),
    lambda boxes, message_id: boxes.delete("alice", message_id),
]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_message_that_is_gone_is_said_to_be(mailboxes: Mailboxes, box: mailbox.Maildir, action: Action) -> None:
    key = box.add(raw("a"))
    message_id = id_of(mailboxes, "a")
    box.remove(key)
    with pytest.raises(NoSuchMessage):
        action(mailboxes, message_id)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_message_renamed_between_look_and_touch_is_found_again(
    mailboxes: Mailboxes, tmp_path: Path, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "alice" / "new" / "1.x"
    new.write_bytes(raw("a"))
    message_id = id_of(mailboxes, "a")
    find = Mailboxes._find

    def find_then_rename(boxes: Mailboxes, account: str, wanted: str) -> object:
        found = find(boxes, account, wanted)
        if new.exists():
            new.rename(tmp_path / "alice" / "cur" / "1.x:2,F")
        return found

    monkeypatch.setattr(module.Mailboxes, "_find", find_then_rename)
    action(mailboxes, message_id)


@pytest.mark.parametrize("message_id", ["", "!", "é", "AAA=", "....", urlsafe_b64encode(b"../../secret").decode()])
@pytest.mark.parametrize("action", ACTIONS)
def test_ids_that_were_never_given_name_nothing(mailboxes: Mailboxes, message_id: str, action: Action) -> None:
    with pytest.raises(NoSuchMessage):
        action(mailboxes, message_id)


@pytest.mark.parametrize("account", ["", ".", "..", "../alice", ".hidden", "alice/new", "nobody", "a\0b", "x" * 256])
def test_accounts_never_lead_out_of_the_root(tmp_path: Path, account: str) -> None:
    root = tmp_path / "mail"
    mailbox.Maildir(tmp_path / "alice", create=True)
    root.mkdir()
    boxes = Mailboxes(root)
    assert boxes.has(account) is False
    with pytest.raises(NoSuchMailbox):
        boxes.inbox(account)
    with pytest.raises(NoSuchMailbox):
        boxes.deliver(account, b"x")


def test_accounts_are_the_directories_that_are_maildirs(tmp_path: Path, box: mailbox.Maildir) -> None:
    mailbox.Maildir(tmp_path / "bob", create=True)
    (tmp_path / "not one").mkdir()
    (tmp_path / "file").touch()
    assert Mailboxes(tmp_path).accounts() == ["alice", "bob"]
    assert Mailboxes(tmp_path / "missing").accounts() == []
