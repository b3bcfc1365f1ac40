from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.growth import cpu_seconds
from tidings.gateway.feeds import window as windows
from tidings.gateway.feeds.part import BATCH_BYTES, EMPTY_BYTES
from tidings.gateway.feeds.window import PART_BYTES, Place, Window
from tidings.ops.budget import Budget
from tidings.wire.change import Change
from tidings.wire.cursor import Position


def at(offset: int) -> Position:
    return Position(offset, bytes((0, 0, 0, offset % 251)))


def change(account: str, states: Mapping[str, str]) -> Change:
    return Change(account, dict(states), "X", "1", "s")


def filled(*batches: dict[str, dict[str, str]], first: int = 10, seconds: float = 300.0) -> Window:
    """A window of one batch a second, from offset `first` on."""
    window = Window(seconds)
    for index, batch in enumerate(batches):
        window.append(at(first + index), 1000.0 + index, [change(*told) for told in batch.items()])
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


def test_there_are_never_more_than_so_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "PART_CHANGES", 2)
    monkeypatch.setattr(windows, "MAX_PARTS", 2)
    window = filled(*({"alice": {"Email": str(number)}} for number in range(7)))
    assert len(window) == 3
    assert window.missed("alice", at(14)) == {"Email": "6"}
    assert window.find(at(13)) is Place.BEFORE


def test_what_is_kept_is_dropped_a_part_at_a_time() -> None:
    window = Window(160.0)
    for second in range(1000):
        window.append(at(second), float(second), [change("alice", {"Email": str(second)})])
        # A sixteenth more than was asked for, and the batch that is one too many for it.
        assert min(second + 1, 160) <= len(window) <= 172
    assert window.find(at(999 - 160)) is Place.INSIDE
    assert window.missed("alice", at(998)) == {"Email": "999"}


def many_types(changes: int) -> Window:
    """A window of changes of one account, each with types that no other names."""
    window = filled({})
    for index in range(changes):
        states = {f"T{32 * index + k}": "s" for k in range(32)}
        window.append(at(11 + index), 1001.0, [change("alice", states)])
    return window


def same_types(changes: int) -> Window:
    """A window of changes of one account, neighbours of which name other types."""
    window = filled({})
    for index in range(changes):
        states = {name: str(index) for name in (("A", "B"), ("B", "C"))[index % 2]}
        window.append(at(11 + index), 1001.0, [change("alice", states)])
    return window


def seconds(looked_at: list[Window]) -> float:
    """How long the first look at an account takes, at the best."""
    return cpu_seconds([partial(window.missed, "alice", at(10)) for window in looked_at])


def test_a_look_takes_time_in_proportion_to_what_an_account_changed() -> None:
    assert len(many_types(4000).missed("alice", at(10))) == 4000 * 32
    few, many = ([many_types(count) for _ in range(3)] for count in (1000, 4000))
    # In proportion it is 4, and more where a cache holds the few; with their square it is 16.
    assert seconds(many) < 10 * seconds(few)


def test_what_was_changed_again_is_looked_at_once() -> None:
    window = same_types(20_000)
    first = seconds([window])
    again = seconds([window] * 5)
    assert again * 20 < first
    assert window.missed("alice", at(10)) == {"A": "19998", "B": "19999", "C": "19999"}
    window.append(at(30_000), 1001.0, [change("alice", {"B": "later"})])
    assert window.missed("alice", at(10)) == {"A": "19998", "B": "later", "C": "19999"}
    assert window.missed("alice", at(20_009)) == {"B": "later", "C": "19999"}
    assert window.missed("alice", at(20_010)) == {"B": "later"}


def test_what_does_not_fit_leaves_the_newest_position() -> None:
    held = Budget(10_000).account("windows")
    window = Window(300.0, held)
    window.append(at(1), 0.0, [change("alice", {"Email": "1"})])
    assert window.missed("alice", at(0)) == {"Email": "1"}
    window.append(at(2), 0.0, [change("alice", {"Email": "2" * 10_000})])
    assert window.position == at(2)
    assert len(window) == 1
    assert window.find(at(1)) is Place.BEFORE
    assert window.missed("alice", at(2)) == {}
    assert window.ages == []
    window.append(at(3), 0.0, [change("alice", {"Email": "3"})])
    assert window.missed("alice", at(2)) == {"Email": "3"}
    window.clear()
    assert held.held == 0
    assert window.position is None


def test_parts_are_bounded_in_bytes_and_the_oldest_can_be_dropped() -> None:
    held = Budget().account("windows")
    window = Window(300.0, held)
    for offset in range(3):
        window.append(at(offset), float(offset), [change("alice", {"Email": str(offset) * PART_BYTES})])
    assert window.ages == [0.0, 1.0, 2.0]
    before = held.held
    assert window.drop_oldest() == before - held.held > PART_BYTES
    assert window.find(at(0)) is Place.BEFORE
    assert window.find(at(1)) is Place.INSIDE
    assert window.missed("alice", at(1)) == {"Email": "2" * PART_BYTES}
    window.drop_oldest()
    window.drop_oldest()
    assert window.position == at(2)
    assert window.missed("alice", at(2)) == {}
    assert window.ages == []
    assert held.held == EMPTY_BYTES + BATCH_BYTES


@given(
    st.lists(
        st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("EM"), st.text("xyz", max_size=1)))
    ),
    st.data(),
)
def test_missed_is_what_a_replay_would_tell(batches: list[dict[str, dict[str, str]]], data: st.DataObject) -> None:
    window = filled({}, *batches)
    looks = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, len(batches))))
    for account, since in data.draw(looks):
        window.missed(account, at(10 + since))
    for account in "ab":
        for since in range(len(batches) + 1):
            replayed: dict[str, str] = {}
            for batch in batches[since:]:
                replayed |= batch.get(account, {})
            assert window.missed(account, at(10 + since)) == replayed
