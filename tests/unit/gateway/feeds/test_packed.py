from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.feeds.packed import pack, unpack
from tidings.gateway.model.changes import ANYTHING
from tidings.wire import batch
from tidings.wire.change import DATA_TYPES, Change, anything_changed

NAMES = st.one_of(st.sampled_from([name for names in DATA_TYPES.values() for name in names]), st.text())
CHANGED = st.one_of(
    st.dictionaries(NAMES, st.none() | st.text(), max_size=5),
    st.sampled_from([*DATA_TYPES.values()]).map(dict.fromkeys),
)
CHANGES = st.lists(st.builds(Change, st.text(), CHANGED, st.sampled_from([*DATA_TYPES]), st.text(), st.text()))


@given(CHANGES)
def test_what_clients_are_told_of_is_what_was_packed(changes: list[Change]) -> None:
    told = [
        (change.account, {ANYTHING: None} if change.event == "AccountChanged" else change.changed) for change in changes
    ]
    assert unpack(pack(changes)) == told


def test_that_anything_may_have_changed_is_kept() -> None:
    anything = anything_changed("alice", source="test", event_id="1", ingested=1.0)
    assert unpack(pack([anything])) == [("alice", {ANYTHING: None})]


def test_a_change_that_names_no_states_takes_little_more_than_its_account() -> None:
    changes = [
        Change(f"user{number}@mail.example", dict.fromkeys(DATA_TYPES["MessageNew"]), "MessageNew", "1" * 36, "/mail")
        for number in range(100)
    ]
    names = sum(len(change.account) for change in changes)
    assert len(pack(changes)) <= names + 6 * len(changes) + 3
    assert len(pack(changes)) * 4 < len(batch.encode(bytes(16), 0.0, tuple(changes)))
