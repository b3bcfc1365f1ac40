from __future__ import annotations

import pytest

from tidings.webmail.mail.fields import MAX_FIELD_BYTES, MAX_HEADER_BYTES, STEP, Head, newline_of, read_head
from tidings.webmail.mail.source import Bytes


def head_of(raw: bytes) -> tuple[Head, bytes]:
    """The header, and what is its body."""
    source = Bytes(raw)
    head = read_head(source, 0, source.size, newline_of(source, 0, source.size))
    return head, raw[head.body :]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_lines_end_as_they_do(newline: bytes) -> None:
    raw = newline.join((b"From: a", b"Subject: one", b" two", b"", b"body", b"", b"more"))
    head, body = head_of(raw)
    assert head.get("from") == b"a"
    assert head.get("subject").split() == [b"one", b"two"]
    assert head.get("to") == b""
    assert body == newline.join((b"body", b"", b"more"))


@pytest.mark.parametrize(
    ("raw", "subject", "body"),
    [
        (b"Subject : x\nTo\t: y\n\nb", b"x", b"b"),
        (b"From x@y Sun Nov 29\nSubject: x\n\nb", b"x", b"b"),
        (b">From x\nSubject: x\n\nb", b"x", b"b"),
        (b"SUBJECT:x\n\nb", b"x", b"b"),
        (b"X-Report: spam\n* 1.2 BAD_FOLD\nno colon\nSubject: x\n\nb", b"x", b"b"),
        (
            b"Subject: x\nno blank line before the body\nat all\n\nb",
            b"x",
            b"no blank line before the body\nat all\n\nb",
        ),
        (b"Subject: first\nSubject: second\n\nb", b"first", b"b"),
        (b"Subject: x", b"x", b""),
        (b"Subject: x\n", b"x", b""),
        (b"\nno header\n", b"", b"no header\n"),
        (b"no header\n\nbut text", b"", b"no header\n\nbut text"),
        (b"", b"", b""),
        (b"Subject: x\r\n\nb", b"x", b"b"),
    ],
)
def test_what_is_sent_in_spite_of_the_standard_is_read(raw: bytes, subject: bytes, body: bytes) -> None:
    head, rest = head_of(raw)
    assert (head.get("subject"), rest) == (subject, body)


@pytest.mark.parametrize("size", [STEP - 20, STEP - 1, STEP, STEP * 9, MAX_HEADER_BYTES - 100])
def test_a_field_is_found_behind_many(size: int) -> None:
    filler = b"X-Filter: %s\n" % (b"v" * 77)
    head, body = head_of(filler * (size // len(filler)) + b"Subject: late\n\nb")
    assert (head.get("subject"), body) == (b"late", b"b")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_header_beyond_all_measure_is_looked_at_in_part_and_ends_where_it_ends(newline: bytes) -> None:
    field = b"X-Filter: %s%s" % (b"v" * 80, newline)
    head, body = head_of(b"Subject: x" + newline + field * 10_000 + b"To: late" + newline * 2 + b"b")
    assert (head.get("subject"), head.get("to"), body) == (b"x", b"", b"b")
    assert head.looked_at <= MAX_HEADER_BYTES
    assert head_of(field * 10_000)[1] == b""


def test_a_field_is_read_in_part() -> None:
    assert len(head_of(b"Subject: " + b"x" * MAX_FIELD_BYTES * 2 + b"\n\n")[0].get("subject")) == MAX_FIELD_BYTES
