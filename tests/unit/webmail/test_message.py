from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header

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
    assert address_of(account) == address
    summary = summary_of(Bytes(compose(account, account, "s", "t", AT)))
    assert summary.sender == account


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "x" * 200,
        "many words " * 18,
        "Grüße " * 30,
        "=?utf-8?q?Hi=0D=0AFrom:_ceo@bank.example=0D=0A=0D=0A<b>forged</b>?=",
        "=?utf-8?b?PT91dGYtOD9xP0hpPTBEPTBBQmNjOng/PQ==?=",
        "Re: =?utf-8?q?a?= b",
    ],
)
def test_no_text_becomes_a_field_or_a_body(text: str) -> None:
    raw = compose(text, text, text, "the body\n", AT)
    head, _, body = raw.partition(b"\n\n")
    names = re.findall(rb"^([^ \t:]+):", head, re.MULTILINE)
    assert len(re.findall(rb"^\S.*$", head, re.MULTILINE)) == len(names) == len(set(names))
    assert body == b"the body\n"
    message = message_from_bytes(raw)
    for name in ("Subject", "From", "To"):
        assert text.strip() in str(make_header(decode_header(message[name].replace("\n ", " ")))).strip()
