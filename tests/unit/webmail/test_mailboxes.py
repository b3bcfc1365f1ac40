from __future__ import annotations

import fcntl
import mailbox
import os
import signal
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.support.descriptors import open_files
from tidings.errors import NoSuchMailbox, NoSuchMessage, StorageFault
from tidings.webmail.mailboxes import MAX_LISTED, Mailboxes
from tidings.webmail.maildir import File, Folder


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


def test_a_long_inbox_is_paged_through(mailboxes: Mailboxes, tmp_path: Path) -> None:
    total = 2 * MAX_LISTED + 5
    for number in range(total):
        path = tmp_path / "alice" / "new" / f"{number}.x"
        path.write_bytes(raw(str(number)))
        os.utime(path, (0, number))
    pages = [mailboxes.inbox("alice", offset) for offset in (0, MAX_LISTED, 2 * MAX_LISTED)]
    assert [len(page.messages) for page in pages] == [MAX_LISTED, MAX_LISTED, 5]
    assert {(page.total, page.unread, page.limit) for page in pages} == {(total, total, MAX_LISTED)}
    shown = [message.summary.subject for page in pages for message in page.messages]
    assert shown == [str(number) for number in reversed(range(total))]
    # A page that is not there any more is the last one.
    assert mailboxes.inbox("alice", 10 * MAX_LISTED) == pages[2]
    for path in (tmp_path / "alice" / "new").iterdir():
        path.unlink()
    assert mailboxes.inbox("alice", MAX_LISTED).offset == 0


def test_a_message_that_is_elsewhere_can_be_asked_about(
    mailboxes: Mailboxes, box: mailbox.Maildir, tmp_path: Path
) -> None:
    key = box.add(raw("a"))
    message_id = id_of(mailboxes, "a")
    asked = mailboxes.inbox("alice", 0, message_id).open
    assert asked is not None
    assert asked.unread is True
    box.add_folder("Work")
    moved_to = tmp_path / "alice" / ".Work" / "cur" / f"{key}:2,S"
    (tmp_path / "alice" / "new" / key).rename(moved_to)
    moved = mailboxes.inbox("alice", 0, message_id)
    assert (moved.total, moved.open and moved.open.unread) == (0, False)
    moved_to.unlink()
    assert mailboxes.inbox("alice", 0, message_id).open is None
    assert mailboxes.inbox("alice").open is None


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def _dangling(path: Path) -> None:
    path.symlink_to("nothing")


def _looped(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("directory", ["new", "cur"])
@pytest.mark.parametrize("make", [Path.mkdir, _pipe, _socket, _dangling, _looped])
def test_what_is_no_file_is_left_out_and_counted(
    mailboxes: Mailboxes, tmp_path: Path, directory: str, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alice" / "new" / "1.x").write_bytes(raw("a"))
    make(tmp_path / "alice" / directory / "2.x")
    inbox = mailboxes.inbox("alice")
    assert [message.summary.subject for message in inbox.messages] == ["a"]
    assert (inbox.total, inbox.left_out) == (1, 1)
    for action in ACTIONS:
        with pytest.raises(NoSuchMessage):
            action(mailboxes, urlsafe_b64encode(b"2.x").decode())


def test_what_takes_the_place_of_a_file_is_not_waited_for(
    mailboxes: Mailboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alice" / "new" / "1.x"
    path.write_bytes(raw("a"))
    files = Folder.files

    def look_then_exchange(folder: Folder, prefix: bytes = b"") -> Iterator[File]:
        for file in files(folder, prefix):
            path.unlink()
            os.mkfifo(path)
            yield file

    monkeypatch.setattr(Folder, "files", look_then_exchange)
    assert mailboxes.inbox("alice").messages == ()


@pytest.fixture
def unreadable(tmp_path: Path, box: mailbox.Maildir) -> Iterator[Path]:
    """A message that this process may not read, be it root or not: somebody has a lease on it."""
    path = tmp_path / "alice" / "new" / "2.x"
    path.write_bytes(raw("unreadable"))
    descriptor = os.open(path, os.O_RDWR)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    yield path
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    os.close(descriptor)
    signal.signal(signal.SIGIO, before)


def test_a_file_that_cannot_be_read_spoils_no_list(mailboxes: Mailboxes, unreadable: Path) -> None:
    (unreadable.parent / "1.x").write_bytes(raw("a"))
    listed = {message.id: message for message in mailboxes.inbox("alice").messages}
    assert sorted(message.summary.subject for message in listed.values()) == ["", "a"]
    (message,) = (message for message in listed.values() if message.fault)
    assert message.fault == "Resource temporarily unavailable"
    for read in (mailboxes.read, lambda account, id_: mailboxes.attachment(account, id_, [0])):
        with pytest.raises(StorageFault, match="Resource temporarily unavailable"):
            read("alice", message.id)
    mailboxes.delete("alice", message.id)
    assert not unreadable.exists()


@pytest.mark.parametrize(
    ("error", "code"), [(PermissionError(1, "Operation not permitted"), 403), (OSError(28, "No space left"), 503)]
)
def test_what_the_file_system_refuses_is_said(
    mailboxes: Mailboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, code: int
) -> None:
    (tmp_path / "alice" / "new" / "1.x").write_bytes(raw("a"))
    message_id = id_of(mailboxes, "a")

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(StorageFault, match=error.strerror) as caught:
        mailboxes.delete("alice", message_id)
    assert caught.value.code == code


def test_a_mail_is_read_as_far_as_mail_goes(
    mailboxes: Mailboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.webmail.mailboxes.MESSAGE_BYTES", 3 << 20)
    with (tmp_path / "alice" / "new" / "1.x").open("wb") as file:
        file.write(raw("long"))
        file.truncate(5 << 20)
    content, _ = mailboxes.read("alice", id_of(mailboxes, "long"))
    assert content.notes[-1] == "This mail has 5 MB, of which the first 3 are read."


def test_an_attachment_is_had_whole_wherever_its_file_goes_meanwhile(mailboxes: Mailboxes, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    message = EmailMessage()
    message["Subject"] = "inner"
    message.set_content("text")
    message.add_attachment(data, maintype="application", subtype="x", filename="random")
    outer = EmailMessage()
    outer["Subject"] = "outer"
    outer.set_content("text")
    outer.add_attachment(message)
    path = tmp_path / "alice" / "new" / "1.x"
    path.write_bytes(outer.as_bytes())
    message_id = id_of(mailboxes, "outer")
    (attached,) = mailboxes.read("alice", message_id)[0].attachments
    content, _ = mailboxes.read("alice", message_id, [attached.part])
    (attachment,) = content.attachments
    assert (content.subject, attachment.name) == ("inner", "random")
    before = open_files()
    download = mailboxes.attachment("alice", message_id, [attached.part, attachment.part])
    path.unlink()
    assert b"".join(iter(download.next, b"")) == data
    download.close()
    assert not open_files() - before
    path.write_bytes(outer.as_bytes())
    for wrong in ([99], [0], [attached.part, 99], [99, 1], [1, 1]):
        with pytest.raises(NoSuchMessage):
            mailboxes.attachment("alice", message_id, wrong)
    with pytest.raises(NoSuchMessage, match="not a mail"):
        mailboxes.read("alice", message_id, [99])
    assert not open_files() - before


def test_what_is_no_message_is_left_out(mailboxes: Mailboxes, tmp_path: Path) -> None:
    (tmp_path / "alice" / "new" / ".hidden").write_bytes(raw("hidden"))
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
    files = Folder.files

    def look_then_rename(folder: Folder, prefix: bytes = b"") -> Iterator[File]:
        for file in files(folder, prefix):
            if new.exists():
                new.rename(tmp_path / "alice" / "cur" / "1.x:2,F")
            yield file

    monkeypatch.setattr(Folder, "files", look_then_rename)
    action(mailboxes, message_id)
    assert not new.exists()


@pytest.mark.parametrize(
    "name",
    ["new/1.x,S=18,U=1", "cur/1.x,S=18,U=7:2,F", "cur/1.x;2,", ".Work/cur/1.x,U=1:2,", "Archive/2024/cur/1.x:2,S"],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_message_is_the_same_whatever_its_file_is_called_and_wherever_it_goes(
    mailboxes: Mailboxes, tmp_path: Path, name: str, action: Action
) -> None:
    for directory in (".Work", "Archive/2024"):
        for each in ("new", "cur", "tmp"):
            (tmp_path / "alice" / directory / each).mkdir(parents=True)
    (tmp_path / "alice" / "new" / "1.x,S=18").write_bytes(raw("a"))
    message_id = id_of(mailboxes, "a")
    (tmp_path / "alice" / "new" / "1.x,S=18").rename(tmp_path / "alice" / name)
    action(mailboxes, message_id)


@pytest.mark.parametrize(("before", "after"), [("1.x;2,F", "1.x;2,FS"), ("1.x!2,", "1.x!2,S"), ("1.x:2,", "1.x:2,S")])
def test_flags_are_written_as_the_file_has_them(mailboxes: Mailboxes, tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "alice" / "cur" / before).write_bytes(raw("a"))
    message_id = id_of(mailboxes, "a")
    mailboxes.set_unread("alice", message_id, False)
    assert os.listdir(tmp_path / "alice" / "cur") == [after]
    assert [message.unread for message in mailboxes.inbox("alice").messages] == [False]


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
