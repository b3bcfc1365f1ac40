from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from tests.support.growth import growth
from tidings.gateway.model.changes import ANYTHING, MAX_TYPES, Told, by_account, told_of, told_to
from tidings.wire.batch import Batch
from tidings.wire.change import EVERY_ACCOUNT, Change, anything_changed
from tidings.wire.cursor import Position


def told(account: str, at: float | None = None, **states: str) -> Told:
    return Told(account, states, at)


def test_one_change_per_account_has_the_newest_states_and_the_oldest_time() -> None:
    changes = [
        told("alice", None, Email="1", Mailbox="1"),
        told("bob", 5.0, Email="1"),
        told("alice", 2.0, Email="2"),
        told("alice", 3.0, Thread="3"),
    ]
    assert by_account(changes) == [
        told("alice", 2.0, Email="2", Mailbox="1", Thread="3"),
        told("bob", 5.0, Email="1"),
    ]
    assert changes[0].changed == {"Email": "1", "Mailbox": "1"}, "others hold it too"


def test_that_anything_may_have_changed_stands_for_all_types_with_one_state() -> None:
    position = Position(255, b"\x00\x01\x02\x03")
    anything = anything_changed("alice", source="test", event_id="1", ingested=1.0)
    other = Change("bob", {"Email": "s"}, "FlagsSet", "2", "test")
    batch = Batch(1, b"", 1.0, (other, anything))
    expected = [Told("bob", {"Email": "s"}, None), Told("alice", {ANYTHING: "ff-1-00010203"}, None)]
    assert told_of(batch, position, 0.0, str) == expected
    assert told_to(batch, position, lambda account: account == "alice") == expected[1:]


def test_what_nobody_listens_to_is_left_out_but_for_what_concerns_everybody() -> None:
    """The places of the others in the batch are what they were: states are made of them."""
    position = Position(255, b"\x00\x01\x02\x03")
    everybody = anything_changed(EVERY_ACCOUNT, source="test", event_id="1", ingested=1.0)
    changes = tuple(Change(account, {"Email": None}, "FlagsSet", "1", "test") for account in ("alice", "bob"))
    found = told_of(Batch(1, b"", 1.0, (*changes, everybody)), position, 0.0, {"bob": object()}.get)
    assert found == [
        Told("bob", {"Email": "ff-1-00010203"}, None),
        Told(EVERY_ACCOUNT, {ANYTHING: "ff-2-00010203"}, None),
    ]


def many_types(changes: int) -> list[Told]:
    """Changes of one account, each with types that no other names."""
    return [Told("alice", {f"T{32 * i + k}": "s" for k in range(32)}, None) for i in range(changes)]


def test_no_change_names_more_types_than_are_told_at_once() -> None:
    changes = many_types(100)
    merged = by_account(changes)
    assert len(merged) == 100 * 32 // MAX_TYPES
    assert all(len(change.changed) <= MAX_TYPES for change in merged)
    assert {name for change in merged for name in change.changed} == {f"T{i}" for i in range(3200)}


def test_merging_takes_time_in_proportion_to_what_is_merged() -> None:
    assert growth(lambda changes: partial(by_account, many_types(changes)), 2_000) < 3


CHANGES = st.lists(
    st.builds(
        Told,
        st.sampled_from("ab"),
        st.dictionaries(st.sampled_from([f"T{i}" for i in range(300)]), st.text("xyz", max_size=1), max_size=32),
        st.none(),
    )
)


@given(CHANGES)
def test_told_one_after_the_other_the_merged_mean_the_same(changes: list[Told]) -> None:
    states: list[dict[tuple[str, str], str]] = [{}, {}]
    for known, some in zip(states, (changes, by_account(changes)), strict=True):
        for account, changed, _ in some:
            known.update({(account, name): state for name, state in changed.items()})
    assert states[0] == states[1]
