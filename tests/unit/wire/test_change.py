from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.wire.change import DATA_TYPES, account_fault, data_type_fault, state_fault

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
