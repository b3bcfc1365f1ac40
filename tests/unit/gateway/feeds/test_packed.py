from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.feeds import packed
from tidings.gateway.feeds.packed import MOST_DOMAIN, MOST_KINDS, Packing
from tidings.gateway.model.changes import ANYTHING
from tidings.wire import batch
from tidings.wire.change import DATA_TYPES, Change, anything_changed

NAMES = st.one_of(st.sampled_from([name for names in DATA_TYPES.values() for name in names]), st.text())
STATES = st.none() | st.sampled_from(["1", "2"]) | st.text()
CHANGED = st.one_of(
    st.dictionaries(NAMES, STATES, max_size=5),
    st.sampled_from([*DATA_TYPES.values()]).map(dict.fromkeys),
    st.sampled_from([*DATA_TYPES.values()]).flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(names, STATES))),
)
ACCOUNTS = st.text() | st.text("ab@")
CHANGES = st.lists(st.builds(Change, ACCOUNTS, CHANGED, st.sampled_from([*DATA_TYPES]), st.text(), st.text()))


def told(changes: list[Change]) -> list[tuple[str, dict[str, str | None]]]:
    return [
        (change.account, {ANYTHING: None} if change.event == "AccountChanged" else change.changed) for change in changes
    ]


def changed(account: str, *states: str | None) -> Change:
    names = DATA_TYPES["FlagsSet"]
    return Change(account, dict(zip(names, states or [None] * len(names), strict=True)), "FlagsSet", "1", "/mail")


@given(st.lists(CHANGES))
def test_what_clients_are_told_of_is_what_was_packed(batches: list[list[Change]]) -> None:
    packing = Packing()
    kept = [packing.pack(changes) for changes in batches]
    assert [packing.unpack(data) for data in kept] == [told(changes) for changes in batches]


@given(st.lists(CHANGES))
def test_what_there_is_no_number_for_is_kept_all_the_same(batches: list[list[Change]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed, "MOST_KINDS", 2)
        patched.setattr(packed, "MOST_DOMAIN", 1)
        packing = Packing()
        kept = [packing.pack(changes) for changes in batches]
        assert [packing.unpack(data) for data in kept] == [told(changes) for changes in batches]


def test_that_anything_may_have_changed_is_kept() -> None:
    anything = anything_changed("alice", source="test", event_id="1", ingested=1.0)
    packing = Packing()
    assert packing.unpack(packing.pack([anything])) == [("alice", {ANYTHING: None})]


def test_a_change_that_names_no_states_takes_little_more_than_its_account_without_the_domain() -> None:
    changes = [
        Change(f"user{number}@mail.example", dict.fromkeys(DATA_TYPES["MessageNew"]), "MessageNew", "1" * 36, "/mail")
        for number in range(100)
    ]
    names = sum(len(change.account.partition("@")[0]) for change in changes)
    size = len(Packing().pack(changes))
    assert size <= names + 3 * len(changes) + 3
    assert size * 10 < len(batch.encode(bytes(16), 0.0, tuple(changes)))


def test_a_state_that_all_data_types_have_is_kept_once() -> None:
    same, other = changed("alice", *["1234567890"] * 3), changed("alice", "1234567890", "1234567890", "1234567891")
    packing = Packing()
    assert len(packing.pack([other])) - len(packing.pack([same])) == 2 * (1 + len("1234567890"))


def test_accounts_of_many_domains_are_kept_whole_at_last() -> None:
    packing = Packing()
    for number in range(MOST_KINDS):
        packing.pack([changed(f"alice@{number}.example")])
    early, late = (packing.pack([changed(f"alice@{number}.example")]) for number in (1, MOST_KINDS))
    assert len(early) < len("alice@1.example") < len(late)
    assert packing.unpack(late) == told([changed(f"alice@{MOST_KINDS}.example")])


def test_kinds_take_little_memory_whatever_they_are() -> None:
    packing = Packing()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2 * MOST_KINDS):
            domain = f"\N{GRINNING FACE}{number}".ljust(MOST_DOMAIN, "a")
            packing.pack([changed(f"alice@{domain}"), changed(f"alice@{domain}a")])
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before <= 300_000
    finally:
        tracemalloc.stop()
