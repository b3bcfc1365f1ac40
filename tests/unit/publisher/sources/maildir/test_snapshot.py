from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.support.waiting import patient
from tidings.errors import SettingsError
from tidings.publisher.sources.maildir.diff import INBOX, Difference, Finding
from tidings.publisher.sources.maildir.snapshot import FILE, Snapshot

Open = Callable[[], Snapshot]


@pytest.fixture
def opened() -> Iterator[list[Snapshot]]:
    snapshots: list[Snapshot] = []
    yield snapshots
    for snapshot in snapshots:
        snapshot.close()


@pytest.fixture
def open_snapshot(tmp_path: Path, opened: list[Snapshot]) -> Open:
    def open_snapshot() -> Snapshot:
        for snapshot in opened:
            snapshot.close()
        opened.append(Snapshot(tmp_path / "state", tmp_path / "mail"))
        return opened[-1]

    return open_snapshot


def finding(account: str, folder: bytes, difference: Difference) -> Finding:
    return Finding(account, folder, None, difference)


def test_the_first_one_is_empty_and_not_complete(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    assert snapshot.accounts() == []
    assert snapshot.messages("alice", INBOX) is None
    assert not snapshot.complete


def test_what_was_taken_in_is_there_after_a_restart(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    snapshot.advance(
        [
            finding("zoë", INBOX, Difference(stored={b"1.\xff": "S", b"2": ""})),
            finding("zoë", b".W\xff", Difference()),
            finding("bob", INBOX, Difference(stored={b"1": ""})),
        ]
    )
    snapshot.finish()
    snapshot = open_snapshot()
    assert snapshot.complete
    assert sorted(snapshot.accounts()) == ["bob", "zoë"]
    assert sorted(snapshot.folders("zoë")) == [INBOX, b".W\xff"]
    assert snapshot.messages("zoë", INBOX) == {b"1.\xff": "S", b"2": ""}
    assert snapshot.messages("zoë", b".W\xff") == {}


def test_differences_add_up(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    snapshot.advance([finding("alice", INBOX, Difference(stored={b"1": "", b"2": ""}))])
    snapshot.advance([finding("alice", INBOX, Difference(stored={b"2": "S"}, removed=frozenset([b"1"])))])
    assert snapshot.messages("alice", INBOX) == {b"2": "S"}
    snapshot.advance([finding("alice", INBOX, Difference(exists=False))])
    assert snapshot.messages("alice", INBOX) is None
    assert snapshot.accounts() == []
    snapshot.advance([finding("alice", INBOX, Difference())])
    assert snapshot.messages("alice", INBOX) == {}


def test_single_messages_can_be_asked_for(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    assert snapshot.known("alice", INBOX, [b"1"]) is None
    snapshot.advance([finding("alice", INBOX, Difference(stored={b"1": "", b"2": ""}))])
    assert snapshot.known("alice", INBOX, [b"1", b"3"]) == {b"1"}


def test_a_message_is_known_in_whichever_folder_it_is(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    snapshot.advance([finding("alice", b".Work", Difference(stored={b"1": ""}))])
    assert snapshot.elsewhere("alice", b"1")
    assert not snapshot.elsewhere("alice", b"2")
    assert not snapshot.elsewhere("bob", b"1")


def test_names_that_were_kept_longer_are_shortened(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    old = {b"1.h,S=18": "S", b"2.h,S=18,U=7": "", b"2.h": "F", b"3.h;2,S": "", b"4,h": "", b"5.h": ""}
    snapshot.advance([finding("alice", INBOX, Difference(stored=old)), finding("bob", INBOX, Difference(stored=old))])
    snapshot = open_snapshot()
    for account in ("alice", "bob"):
        names = snapshot.messages(account, INBOX)
        assert names is not None
        assert names.keys() == {b"1.h", b"2.h", b"3.h", b"4,h", b"5.h"}
        assert names[b"1.h"] == "S"


def test_an_advance_is_taken_in_as_a_whole_or_not_at_all(open_snapshot: Open) -> None:
    snapshot = open_snapshot()
    bad = Difference(stored={b"1": None})  # type: ignore[dict-item]
    with pytest.raises(sqlite3.IntegrityError):
        snapshot.advance([finding("alice", INBOX, Difference()), finding("bob", INBOX, bad)])
    assert snapshot.accounts() == []
    snapshot.advance([finding("carol", INBOX, Difference())])
    assert snapshot.accounts() == ["carol"]


def test_another_root_starts_anew(open_snapshot: Open, opened: list[Snapshot], tmp_path: Path) -> None:
    snapshot = open_snapshot()
    snapshot.advance([finding("alice", INBOX, Difference(stored={b"1": ""}))])
    snapshot.finish()
    snapshot.close()
    opened.append(Snapshot(tmp_path / "state", tmp_path / "other"))
    assert opened[-1].accounts() == []
    assert not opened[-1].complete


def test_a_file_that_is_no_snapshot_is_put_aside_and_all_mail_is_new(open_snapshot: Open, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(b"not a database" * 100)
    snapshot = open_snapshot()
    assert snapshot.complete
    assert snapshot.accounts() == []
    snapshot.advance([finding("alice", INBOX, Difference())])
    assert open_snapshot().accounts() == ["alice"]
    assert list((tmp_path / "state").glob("maildir.damaged-*"))


def test_a_damaged_snapshot_is_put_aside(open_snapshot: Open, tmp_path: Path) -> None:
    snapshot = open_snapshot()
    messages = {f"{number}.message.with.a.name": "" for number in range(2000)}
    snapshot.advance([finding("alice", INBOX, Difference(stored={name.encode(): "" for name in messages}))])
    snapshot.close()
    file = tmp_path / "state" / FILE
    pages = bytearray(file.read_bytes())
    pages[4096 * 5 : 4096 * 12] = b"\xff" * (4096 * 7)
    file.write_bytes(pages)
    snapshot = open_snapshot()
    assert snapshot.complete
    assert snapshot.accounts() == []


def test_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    db = sqlite3.connect(tmp_path / "state" / FILE)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(SettingsError, match="another version"):
        Snapshot(tmp_path / "state", tmp_path / "mail")


def test_a_state_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--state-dir"):
        Snapshot(tmp_path / "file", tmp_path / "mail")
    (tmp_path / "state" / FILE).mkdir(parents=True)
    with pytest.raises(SettingsError, match="--state-dir"):
        Snapshot(tmp_path / "state", tmp_path / "mail")


def _hold(directory: Path, root: Path, pipe: Connection) -> None:
    snapshot = Snapshot(directory, root)
    pipe.send("held")
    pipe.recv()
    snapshot.close()


def test_one_process_at_a_time(open_snapshot: Open, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(tmp_path / "state", tmp_path / "mail", theirs))
    process.start()
    try:
        assert ours.poll(patient(30))
        assert ours.recv() == "held"
        with pytest.raises(SettingsError, match="locked"):
            open_snapshot()
        ours.send("let go")
        process.join(patient(30))
        assert open_snapshot().accounts() == []
    finally:
        process.kill()
        process.join()
        ours.close()
        theirs.close()
