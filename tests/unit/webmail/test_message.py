from __future__ import annotations

import time
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.webmail.message import (
    HEADER_CHARS,
    MAX_ATTACHMENTS,
    MAX_TEXT_CHARS,
    SNIPPET_CHARS,
    address_of,
    compose,
    content_of,
    summary_of,
)

AT = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
SOON_SECONDS = 3.0
MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in headers.items():
        message[name] = value
    return message


def test_a_summary_is_decoded_and_on_one_line() -> None:
    message = mail(From="Zoë Ünder <zoe@example.org>", Subject="Grüße " * 30, Date="Tue, 24 Nov 2026 04:10:00 +0100")
    message.set_content("Hello\n\n  there,\tyou\n")
    summary = summary_of(message.as_bytes())
    assert summary.sender == "Zoë Ünder"
    assert summary.subject == ("Grüße " * 30).strip()
    assert summary.date == AT.timestamp()
    assert summary.snippet == "Hello there, you"


def test_a_sender_without_a_name_is_shown_by_address() -> None:
    assert summary_of(b"From: zoe@example.org\n\nx").sender == "zoe@example.org"
    assert "not an address" in summary_of(b"From: not an address\n\nx").sender
    assert summary_of(b"\n").sender == ""


def test_a_snippet_is_bounded() -> None:
    assert len(summary_of(b"\n" + b"word " * 10_000).snippet) <= SNIPPET_CHARS


def test_control_characters_and_undecodable_bytes_do_not_come_through() -> None:
    summary = summary_of(b"Subject: a\x1b[31m\xff\xfeb\n\nx")
    assert summary.subject.isprintable()
    summary.subject.encode()


def test_text_html_and_attachments_are_told_apart() -> None:
    message = mail(From="a@example.org", To="b@example.org", Subject="s")
    message.set_content("plain\n")
    message.add_alternative("<p>rich</p>\n", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Bericht 1.pdf")
    message.add_attachment("attached text", filename="notes.txt")
    content = content_of(message.as_bytes())
    assert (content.text, content.html) == ("plain\n", "<p>rich</p>\n")
    assert content.attachments == ("Bericht 1.pdf", "notes.txt")
    assert (content.sender, content.to) == ("a@example.org", "b@example.org")


def test_a_mail_without_text_has_none() -> None:
    content = content_of(b"Content-Type: application/pdf\n\nx")
    assert content.text is None
    assert content.html is None
    assert content.attachments == ("application/pdf",)


def test_an_unknown_charset_is_read_as_utf_8() -> None:
    assert content_of(b"Content-Type: text/plain; charset=nonsense\n\nn\xc3\xa9\xff").text == "né\ufffd"


def test_broken_base64_is_no_text() -> None:
    raw = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!not base64!!!"
    assert isinstance(content_of(raw).text, str)


def test_sizes_are_bounded() -> None:
    content = content_of(b"Subject: " + b"s" * 50_000 + b"\n\n" + b"t" * (MAX_TEXT_CHARS + 1))
    assert len(content.subject) <= HEADER_CHARS
    assert content.text is not None
    assert len(content.text) == MAX_TEXT_CHARS
    many = content_of(MULTIPART + b"--b\nContent-Type: image/png\n\nx\n" * (MAX_ATTACHMENTS + 5))
    assert len(many.attachments) == MAX_ATTACHMENTS


@pytest.mark.parametrize(
    "raw",
    [
        MULTIPART + b"--b\n\nx\n" * 100_000,
        MULTIPART + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 20_000,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)),
        b"From: " + b"a@b, " * 100_000 + b"\n\nx",
        b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\nx",
        b"Content-Type: text/plain" + b"; a=b" * 20_000 + b"\n\nx",
        b"From: " + b"(" * 100_000 + b"\n\nx",
    ],
    ids=["parts", "nested", "nested apart", "addresses", "words", "parameters", "comments"],
)
def test_no_mail_takes_long(raw: bytes) -> None:
    """The structured parser takes from ten seconds to minutes for each of these."""
    began = time.process_time()
    content_of(raw)
    summary_of(raw)
    assert time.process_time() - began < SOON_SECONDS


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(raw: bytes) -> None:
    _encodable(raw)


HEADER = st.sampled_from(
    ["From", "To", "Subject", "Date", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"]
)
PIECES = [*'ab@<>"(),;:=?/ \\\t%*é\udcff', "=?utf-8?", "multipart/", "text/html", "charset=", "boundary=b", "\n "]
VALUE = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
BODY = st.lists(st.sampled_from(["--b", "\n", "x", "--", "é", "=", "Content-Type: "]), max_size=30).map("".join)


@given(st.lists(st.tuples(HEADER, VALUE), max_size=8), BODY)
def test_any_headers_are_read(headers: list[tuple[str, str]], body: str) -> None:
    lines = "".join(f"{name}: {value}\n" for name, value in headers)
    _encodable(f"{lines}\n{body}".encode("utf-8", "surrogateescape"))


def _encodable(raw: bytes) -> None:
    summary, content = summary_of(raw), content_of(raw)
    shown = (summary.sender, summary.subject, summary.snippet, content.sender, content.to, *content.attachments)
    assert all(text.isprintable() for text in shown)
    "".join((*shown, content.text or "", content.html or "")).encode()


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
    summary = summary_of(compose(account, account, "s", "t", AT))
    assert summary.sender == account
