from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.wire.change import (
    ACCOUNT_CHANGED,
    DATA_TYPES,
    EVERY_ACCOUNT,
    Change,
    account_fault,
    anything_changed,
    data_type_fault,
    event_name,
    held_bytes,
    is_far,
    state_fault,
)

CONTROL = ["\0", "a\n", "\x1f", "a\x7fb", "\x85", "\x9f", "\ud800", "a\udfff"]


@pytest.mark.parametrize("account", ["a", "alice@example.org", "a b", "☃", "x" * 255, "é" * 127])
def test_account_ids_that_are_allowed(account: str) -> None:
    assert account_fault(account) is None


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        ("", "empty"),
        ("a/b", "'/'"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        *((text, "control characters") for text in CONTROL),
    ],
)
def test_account_ids_that_are_not(account: str, fault: str) -> None:
    assert fault in (account_fault(account) or "")


@pytest.mark.parametrize("state", ["0", "s/1", "x" * 255, "é" * 127])
def test_states_that_are_allowed(state: str) -> None:
    assert state_fault(state) is None


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("", "empty"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        *((text, "control characters") for text in CONTROL),
    ],
)
def test_states_that_are_not(state: str, fault: str) -> None:
    assert fault in (state_fault(state) or "")


@pytest.mark.parametrize("name", ["Email", "a", "urn:example.org:Thing_2-x", "x" * 64])
def test_data_types_that_are_allowed(name: str) -> None:
    assert data_type_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "letter"),
        ("2x", "letter"),
        ("E mail", "letter"),
        ("Émail", "letter"),
        ("Email\n", "letter"),
        ("x" * 65, "64"),
    ],
)
def test_data_types_that_are_not(name: str, fault: str) -> None:
    assert fault in (data_type_fault(name) or "")


def test_that_anything_may_have_changed_is_to_others_a_change_of_all_mail() -> None:
    change = anything_changed("alice", source="test", event_id="1", ingested=2.0, time=1.0)
    assert change == Change(
        "alice", {"Email": None, "Mailbox": None, "Thread": None}, ACCOUNT_CHANGED, "1", "test", 1.0, 2.0
    )


def test_the_name_of_all_accounts_is_that_of_none() -> None:
    assert account_fault(EVERY_ACCOUNT)


def test_event_names_compare_without_case() -> None:
    for name in DATA_TYPES:
        assert event_name(name) == event_name(name.upper()) == event_name(name.lower()) == name
    assert event_name("vnd.CMU.x") == "vnd.CMU.x"


@pytest.mark.parametrize(
    ("time", "far"),
    [
        (None, False),
        (1_700_000_000.0, False),
        (1_700_003_600.0, False),
        (1_699_996_400.0, False),
        (1_700_003_601.0, True),
        (1_699_996_399.0, True),
        (-62_135_596_860.0, True),
        (253_402_387_199.0, True),
    ],
)
def test_a_time_is_far_when_it_is_more_than_an_hour_away(time: float | None, far: bool) -> None:
    assert is_far(Change("a", {}, "X", "1", "s", time, 1_700_000_000.0)) is far


def test_what_a_change_holds_grows_with_all_of_its_texts() -> None:
    small = held_bytes(Change("a", {"E": "s"}, "X", "1", "s"))
    long = "x" * 1000
    for larger in (
        Change(long, {"E": "s"}, "X", "1", "s"),
        Change("a", {long: "s"}, "X", "1", "s"),
        Change("a", {"E": long}, "X", "1", "s"),
        Change("a", {"E": "s"}, "X", long, "s"),
        Change("a", {"E": "s"}, "X", "1", long),
    ):
        assert small + 990 < held_bytes(larger) < small + 1010


@given(st.text())
def test_what_is_allowed_can_be_encoded(text: str) -> None:
    for fault in (account_fault, state_fault):
        if fault(text) is None:
            assert 1 <= len(text.encode()) <= 255


def test_every_event_touches_valid_data_types() -> None:
    for types in DATA_TYPES.values():
        assert types
        assert not any(map(data_type_fault, types))


def test_only_new_mail_is_a_delivery() -> None:
    """A client that asks for EmailDelivery alerts its user (RFC 8621 section 1.5)."""
    assert [event for event, types in DATA_TYPES.items() if "EmailDelivery" in types] == ["MessageNew"]
