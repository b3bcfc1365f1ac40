from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway import window as windows
from tidings.gateway.told import Told
from tidings.gateway.window import Place, Window
from tidings.wire.cursor import Position


def at(offset: int) -> Position:
    return Position(offset, bytes((0, 0, 0, offset % 251)))


def filled(*batches: dict[str, dict[str, str]], first: int = 10, seconds: float = 300.0) -> Window:
    """A window of one batch a second, from offset `first` on."""
    window = Window(seconds)
    for index, batch in enumerate(batches):
        told = [Told(account, states, None) for account, states in batch.items()]
        window.append(at(first + index), 1000.0 + index, told)
    return window


def test_nothing_was_missed_at_the_newest_or_when_others_changed() -> None:
    window = filled({"alice": {"Email": "1"}}, {"bob": {"Email": "2"}}, {})
    assert window.missed("alice", at(12)) == {}
    assert window.missed("alice", at(10)) == {}
    assert window.missed("carol", at(10)) == {}
    assert window.position == at(12)


def test_what_was_missed_comes_with_the_newest_state_of_each_type() -> None:
    window = filled({}, {"alice": {"Email": "1", "Mailbox": "1"}}, {"alice": {"Email": "2"}})
    assert window.missed("alice", at(10)) == {"Email": "2", "Mailbox": "1"}
    assert window.missed("alice", at(11)) == {"Email": "2"}


def test_a_position_that_is_not_in_the_window_is_before_beyond_or_of_another_log() -> None:
    window = filled({}, {}, {})
    assert window.find(at(9)) is Place.BEFORE
    assert window.find(at(10)) is window.find(at(12)) is Place.INSIDE
    assert window.find(at(13)) is Place.BEYOND
    assert window.find(Position(11, b"else")) is Place.NOWHERE
    assert Window(300.0).find(at(0)) is Place.BEYOND
    assert Window(300.0).position is None


def test_a_position_in_a_hole_of_the_log_is_none() -> None:
    window = Window(300.0)
    window.append(at(1), 0.0, [])
    window.append(at(5), 0.0, [])
    assert window.find(at(3)) is Place.NOWHERE


def test_old_batches_are_dropped_but_never_the_newest() -> None:
    window = filled({"alice": {"Email": "1"}}, {}, {}, seconds=1.5)
    assert len(window) == 2
    assert window.find(at(10)) is Place.BEFORE
    assert window.missed("alice", at(11)) == {}
    window.append(at(13), 9999.0, [])
    assert len(window) == 1


def test_an_account_that_changed_again_is_still_known_after_the_drop() -> None:
    window = filled({"alice": {"Email": "1"}}, {"alice": {"Email": "2"}}, {}, seconds=1.5)
    assert window.missed("alice", at(11)) == {}
    assert window.missed("alice", at(12)) == {}


def test_of_a_dropped_batch_only_what_came_later_is_known() -> None:
    window = filled({"alice": {"Email": "1", "Mailbox": "1"}}, {"alice": {"Email": "2"}}, {}, seconds=1.5)
    assert window.missed("alice", at(10)) == {"Email": "2"}


def test_too_many_batches_or_changes_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_BATCHES", 2)
    assert len(filled({}, {}, {})) == 2
    monkeypatch.setattr(windows, "MAX_BATCHES", 100)
    monkeypatch.setattr(windows, "MAX_CHANGES", 3)
    assert len(filled({"a": {"E": "1"}, "b": {"E": "1"}}, {"a": {"E": "2"}}, {"a": {"E": "3"}})) == 2


def test_what_is_kept_is_dropped_a_part_at_a_time() -> None:
    window = Window(160.0)
    for second in range(1000):
        window.append(at(second), float(second), [Told("alice", {"Email": str(second)}, None)])
        # A sixteenth more than was asked for, and the batch that is one too many for it.
        assert min(second + 1, 160) <= len(window) <= 172
    assert window.find(at(999 - 160)) is Place.INSIDE
    assert window.missed("alice", at(998)) == {"Email": "999"}


@given(
    st.lists(st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("EM"), st.text("xyz", max_size=1))))
)
def test_missed_is_what_a_replay_would_tell(batches: list[dict[str, dict[str, str]]]) -> None:
    window = filled({}, *batches)
    for account in "ab":
        for since in range(len(batches) + 1):
            replayed: dict[str, str] = {}
            for batch in batches[since:]:
                replayed |= batch.get(account, {})
            assert window.missed(account, at(10 + since)) == replayed
