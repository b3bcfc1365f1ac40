from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import comes_true
from tidings.publisher.sources.cyrus import keeping
from tidings.publisher.sources.cyrus.inbox import Inbox
from tidings.publisher.sources.cyrus.keeping import Keeper
from tidings.publisher.sources.journal.writer import JournalWriter


def event(account: str, name: str = "FlagsSet", state: int = 1) -> bytes:
    return json.dumps({"event": name, "uri": f"imap://vm/user/{account};UIDVALIDITY=1", "modseq": state}).encode()


def kept(directory: Path) -> list[tuple[str, str | None]]:
    """The accounts, and the states of their mail, that are in a journal."""
    lines = [line for file in sorted(directory.glob("*.jsonl")) for line in file.read_bytes().splitlines() if line]
    events = [json.loads(line) for line in lines]
    return [(each["subject"], each["data"]["changed"]["Email"]) for each in events]


@contextmanager
def running(inbox: Inbox, writer: JournalWriter) -> Iterator[Keeper]:
    keeper = Keeper(inbox, writer, virtual_domains=False)
    thread = threading.Thread(target=keeper.run)
    thread.start()
    try:
        yield keeper
    finally:
        inbox.close()
        thread.join(60)
    assert not thread.is_alive()


def test_what_comes_is_in_the_journal(tmp_path: Path) -> None:
    inbox = Inbox()
    with running(inbox, JournalWriter(tmp_path)):
        inbox.put(event("alice", state=4))
        assert comes_true(lambda: kept(tmp_path) == [("alice", "4")], 5.0)
        inbox.put(event("bob", state=2))
        assert comes_true(lambda: kept(tmp_path) == [("alice", "4"), ("bob", "2")], 5.0)
    assert not (tmp_path / "lost").exists()


def test_what_waits_at_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MAX_TOGETHER", 2)
    inbox = Inbox()
    for number in range(5):
        inbox.put(event(f"a{number}"))
    inbox.close()
    Keeper(inbox, JournalWriter(tmp_path), virtual_domains=False).run()
    assert [account for account, _ in kept(tmp_path)] == ["a0", "a1", "a2", "a3", "a4"]


def test_what_is_of_nobody_is_nothing(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.put(b'{"event":"FlagsSet","uri":"imap://vm/shared"}')
    inbox.close()
    Keeper(inbox, JournalWriter(tmp_path), virtual_domains=False).run()
    assert list(tmp_path.iterdir()) == []


def test_who_was_away_has_everybody_look(tmp_path: Path) -> None:
    Keeper(Inbox(), JournalWriter(tmp_path), virtual_domains=False).was_away()
    assert [each.name for each in tmp_path.iterdir()] == ["lost"]


@pytest.mark.parametrize("lose", [lambda inbox: inbox.put(b"{"), lambda inbox: inbox.lose("no room")])
def test_after_a_loss_everybody_is_told_to_look(tmp_path: Path, lose: object) -> None:
    inbox = Inbox()
    with running(inbox, JournalWriter(tmp_path)):
        assert callable(lose)
        lose(inbox)
        assert comes_true((tmp_path / "lost").exists, 5.0)


def test_everybody_is_told_to_look_so_often_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LOOK_SECONDS", 0.5)
    inbox, lost = Inbox(), tmp_path / "lost"
    with running(inbox, JournalWriter(tmp_path)):
        inbox.lose("a")
        assert comes_true(lost.exists, 5.0)
        lost.unlink()
        inbox.lose("a")
        inbox.put(event("alice"))
        assert comes_true(lambda: kept(tmp_path), 5.0)
        # Nothing more comes, and it is told all the same.
        assert comes_true(lost.exists, 5.0)


def test_what_has_no_room_is_lost(tmp_path: Path) -> None:
    inbox = Inbox()
    with running(inbox, JournalWriter(tmp_path, max_bytes=1)):
        inbox.put(event("alice"))
        assert comes_true((tmp_path / "lost").exists, 5.0)
    assert kept(tmp_path) == []


def test_a_journal_that_takes_nothing_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.01)
    directory, tries = tmp_path / "journal", []

    class Writer(JournalWriter):
        def append(self, events: Iterable[Mapping[str, object]]) -> bool:
            tries.append(events)
            return super().append(events)

    inbox = Inbox()
    with running(inbox, Writer(directory)):
        inbox.put(event("alice", state=4))
        assert comes_true(lambda: len(tries) > 2, 5.0)
        inbox.put(event("alice", state=5))
        directory.mkdir()
        assert comes_true(lambda: kept(directory) == [("alice", "4"), ("alice", "5")], 5.0)


def test_the_end_does_not_wait_for_a_journal_that_takes_nothing(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.put(event("alice"))
    inbox.close()
    Keeper(inbox, JournalWriter(tmp_path / "journal"), virtual_domains=False).run()
    assert not inbox.ended or list(tmp_path.iterdir()) == []
