from __future__ import annotations

import pytest

from tidings.publisher.sources.maildir.departed import KEPT_SECONDS, Departed


def test_a_message_that_has_left_a_folder_is_known_in_another_of_its_account() -> None:
    departed = Departed()
    departed.add("alice", b"", [b"1", b"2"], 10.0)
    assert departed.knows("alice", b".Work", b"1", 11.0)
    assert not departed.knows("alice", b"", b"1", 11.0)
    assert not departed.knows("alice", b".Work", b"3", 11.0)
    assert not departed.knows("bob", b".Work", b"1", 11.0)


def test_it_is_forgotten_after_a_while() -> None:
    departed = Departed()
    departed.add("alice", b"", [b"1"], 10.0)
    assert departed.knows("alice", b".Work", b"1", 10.0 + KEPT_SECONDS)
    assert not departed.knows("alice", b".Work", b"1", 10.1 + KEPT_SECONDS)
    departed.add("alice", b"", [b"2"], 10.1 + KEPT_SECONDS)
    assert len(departed) == 1


def test_the_folder_that_was_left_last_counts() -> None:
    departed = Departed()
    departed.add("alice", b"", [b"1"], 10.0)
    departed.add("alice", b".Work", [b"1"], 11.0)
    assert departed.knows("alice", b"", b"1", 11.0)
    assert not departed.knows("alice", b".Work", b"1", 11.0)


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.publisher.sources.maildir.departed.MAX_KEPT", 3)
    departed = Departed()
    departed.add("alice", b"", (b"%d" % number for number in range(5)), 10.0)
    assert len(departed) == 3
    assert not departed.knows("alice", b".Work", b"1", 10.0)
    assert departed.knows("alice", b".Work", b"4", 10.0)
