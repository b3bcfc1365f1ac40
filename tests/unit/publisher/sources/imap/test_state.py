from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tidings.errors import SettingsError
from tidings.publisher.sources.imap.folders import Folder
from tidings.publisher.sources.imap.state import FILE, State

URL = "imaps://mail.example:993"
FOLDERS = {b"INBOX": Folder(1, 2, 3, 4, 2**63 - 1, True), b"\xff[": Folder()}

Open = Callable[..., State]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return lambda url=URL: State(tmp_path, url)


def test_what_was_told_is_remembered(opened: Open) -> None:
    state = opened()
    assert state.folders("alice") is None
    state.save("alice", {}, FOLDERS)
    state.close()
    state = opened()
    assert state.folders("alice") == FOLDERS
    assert state.folders("bob") is None
    assert not state.lost
    state.close()


def test_only_differences_are_written(opened: Open) -> None:
    state = opened()
    state.save("alice", {}, FOLDERS)
    after = {b"INBOX": Folder(1, 9), b"New": Folder(subscribed=True)}
    state.save("alice", FOLDERS, after)
    assert state.folders("alice") == after
    state.close()


def test_accounts_that_are_none_any_more_are_forgotten(opened: Open) -> None:
    state = opened()
    state.save("alice", {}, FOLDERS)
    state.save("bob", {}, FOLDERS)
    state.keep({"bob", "carol"})
    assert state.folders("alice") is None
    assert state.folders("bob") == FOLDERS
    state.close()


def test_another_server_has_other_mail(opened: Open) -> None:
    state = opened()
    state.save("alice", {}, FOLDERS)
    state.close()
    with capture_logs() as logs:
        state = opened("imaps://other.example:993")
    assert state.lost
    assert state.folders("alice") is None
    assert [event["event"] for event in logs] == [
        "imap state is from another server, clients of all accounts are asked to resynchronise"
    ]
    state.close()


def test_what_is_damaged_is_put_aside_and_said(opened: Open, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1_000)
    with capture_logs() as logs:
        state = opened()
    assert state.lost
    assert "imap state is lost, clients of all accounts are asked to resynchronise" in {
        event["event"] for event in logs
    }
    state.close()


def test_one_process_at_a_time(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.publisher.database.LOCK_SECONDS", 0.01)
    state = opened()
    with pytest.raises(SettingsError, match="another publisher uses it"):
        opened()
    state.close()
