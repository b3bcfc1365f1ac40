from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from tidings.webmail.mail.reading import summary_of
from tidings.webmail.mail.source import Bytes
from tidings.webmail.message import address_of, compose

AT = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)


def test_a_composed_mail_is_a_message_of_the_standard() -> None:
    raw = compose("alice", "bob", "Grüße", "Erste Zeile\n.\nFrom hier\n", AT)
    message = message_from_bytes(raw, policy=policy.default)
    assert message["from"].addresses[0].addr_spec == "alice@localhost"
    assert message["to"].addresses[0].addr_spec == "bob@localhost"
    assert message["subject"] == "Grüße"
    assert message["date"].datetime == AT
    assert message["message-id"].endswith("@localhost>")
    assert message.get_content() == "Erste Zeile\n.\nFrom hier\n"
    assert b"\r" not in raw
    assert max(map(len, raw.splitlines())) <= 998


@pytest.mark.parametrize(
    ("account", "address"),
    [
        ("alice", "alice@localhost"),
        ("alice@mail.example", "alice@mail.example"),
        ("a.b+c", "a.b+c@localhost"),
        ("a..b", "account@localhost"),
        ("Zoë <x>", "account@localhost"),
    ],
)
def test_any_account_has_an_address(account: str, address: str) -> None:
    assert address_of(account).addr_spec == address
    summary = summary_of(Bytes(compose(account, account, "s", "t", AT)))
    assert summary.sender == account
