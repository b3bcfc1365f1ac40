from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.webmail.mail import reading
from tidings.webmail.mail.reading import (
    MAX_ATTACHMENTS,
    MAX_SHOWN,
    MAX_TEXT_BYTES,
    SNIPPET_CHARS,
    Attachment,
    Content,
    attached_mail,
    content_of,
    part_of,
    pieces_of,
    summary_of,
    whole,
)
from tidings.webmail.mail.source import Bytes

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"


def read(raw: bytes) -> Content:
    return content_of(whole(Bytes(raw)))


def texts(raw: bytes) -> list[str]:
    return [part.content for part in read(raw).shown]


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in headers.items():
        message[name] = value
    return message


def test_a_summary_is_decoded_and_on_one_line() -> None:
    message = mail(From="Zoë Ünder <zoe@example.org>", Subject="Grüße " * 30, Date="Tue, 24 Nov 2026 04:10:00 +0100")
    message.set_content("Hello\n\n  there,\tyou\n")
    summary = summary_of(Bytes(message.as_bytes()))
    assert summary.sender == "Zoë Ünder"
    assert summary.subject == ("Grüße " * 30).strip()
    assert summary.date == 1795489800.0
    assert summary.snippet == "Hello there, you"


@pytest.mark.parametrize(
    ("raw", "snippet"),
    [
        (b"Content-Type: text/html\n\n<p>rich</p>", "rich"),
        (MULTIPART + b"--b\nContent-Type: text/html\n\n<style>x</style>\n--b\n\nbehind it", "behind it"),
        (b"Content-Type: application/pdf\n\nx", ""),
        (b"\n" + b"word " * 10_000, ("word " * 100)[:SNIPPET_CHARS].strip()),
        (b"Content-Transfer-Encoding: base64\n\nSGVsbG8=\n____\nlist", "Hello ____ list"),
    ],
)
def test_a_snippet_is_the_beginning_of_the_words(raw: bytes, snippet: str) -> None:
    assert summary_of(Bytes(raw)).snippet == snippet


def test_text_html_and_attachments_are_told_apart() -> None:
    message = mail(From="a@example.org", To="b@example.org", Subject="s")
    message.set_content("plain\n")
    message.add_alternative("<p>rich</p>\n", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Bericht 1.pdf")
    message.add_attachment("attached text", filename="notes.txt")
    content = read(message.as_bytes())
    assert [(part.html, part.content) for part in content.shown] == [(True, "<p>rich</p>\n")]
    assert content.text == "plain\n"
    assert [attachment.name for attachment in content.attachments] == ["Bericht 1.pdf", "notes.txt"]
    assert (content.sender, content.to) == ("a@example.org", "b@example.org")
    assert content.notes == ()


def test_a_mail_without_text_has_none() -> None:
    content = read(b"Content-Type: application/pdf\n\nx")
    assert content.text is None
    assert content.shown == ()
    assert content.attachments == (Attachment(0, "application/pdf", "application/pdf", 1, message=False),)


def test_lines_end_with_line_feeds() -> None:
    assert texts(b"\r\na\r\nb\rc\nd") == ["a\nb\nc\nd"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Content-Type: text/html\n\n<meta charset=koi8-r>\xd1", "я"),
        (b"Content-Type: text/html; charset=us-ascii\n\n<meta charset=koi8-r>\xd1", "я"),
        (b"Content-Type: text/html; charset=iso-8859-1\n\n<meta charset=koi8-r>\xd1", "Ñ"),
        (b"Content-Type: text/plain\n\n<meta charset=koi8-r>\xd1", "Ñ"),
    ],
)
def test_only_html_may_name_its_charset_within_and_its_header_knows_better(raw: bytes, text: str) -> None:
    assert texts(raw)[0].endswith(text)


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("Content-Type: text/plain; charset=koi8-r\nSubject: Привет\n\nx".encode("koi8-r"), "Привет"),
        (MULTIPART + b"--b\nContent-Type: text/plain; charset=gb2312\n\nx\n--b--", ""),
        ("Content-Type: text/plain; charset=koi8-r\nSubject: Grüße\n\nx".encode(), "Grüße"),
        ("Content-Type: text/plain; charset=punycode\nSubject: Grüße\n\nx".encode("cp1252"), "Grüße"),
        ("Subject: Grüße\n\nx".encode("cp1252"), "Grüße"),
    ],
)
def test_a_field_that_is_not_encoded_is_in_the_charset_of_the_text(raw: bytes, subject: str) -> None:
    assert summary_of(Bytes(raw)).subject == read(raw).subject == subject


def test_what_was_guessed_is_said() -> None:
    content = read(b"Content-Type: text/plain; charset=punycode\n\nIt\x92s")
    assert [part.content for part in content.shown] == ["It’s"]
    assert "charset punycode" in content.notes[0]
    content = read(b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x")
    assert content.text == "begin 644 x"
    assert "encoding x-uuencode" in content.notes[0]


@pytest.mark.parametrize("encoding", [b"7bit", b"base64"])
def test_a_long_text_is_cut_and_said_to_be(encoding: bytes) -> None:
    raw = b"Content-Transfer-Encoding: " + encoding + b"\n\n" + b"QUFB" * MAX_TEXT_BYTES
    content = read(raw)
    assert [len(part.content) for part in content.shown] == [MAX_TEXT_BYTES]
    assert content.notes == ("Only the first 1024 kB of the text are shown.",)


def test_texts_share_the_room() -> None:
    long = b"--b\n\n" + b"x" * (MAX_TEXT_BYTES - 10) + b"\n"
    content = read(MULTIPART + long * 3)
    assert [len(part.content) for part in content.shown] == [MAX_TEXT_BYTES - 10, 10, 0]
    assert len(content.notes) == 1


def test_many_texts_and_attachments_are_counted() -> None:
    content = read(MULTIPART + b"--b\n\nx\n" * (MAX_SHOWN + 5))
    assert len(content.shown) == MAX_SHOWN
    assert content.notes == ("5 more texts are in this mail than the 100 shown.",)
    content = read(MULTIPART + b"--b\nContent-Type: image/png\n\nx\n" * (MAX_ATTACHMENTS + 5))
    assert len(content.attachments) == MAX_ATTACHMENTS
    assert content.notes == ("5 more files are attached than the 100 listed.",)
    assert read(MULTIPART + b"--b\n\nx\n" * 2000).notes[-1].startswith("This mail has too many parts")


def test_a_footer_behind_base64_is_read() -> None:
    raw = b"Content-Type: text/%s\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n\n-- \r\nthe list's f\xc3\xbc\xdfer\n"
    assert texts(raw % b"plain") == ["Hello\n-- \nthe list's fÃ¼ßer"]
    assert texts(b"Content-Transfer-Encoding: base64\n\nnot base64, but text\n") == ["\nnot base64, but text"]


OUTER = (
    b"Subject: outer\n" + MULTIPART + b"--b\n\nouter text\n--b\n"
    b"Content-Type: message/rfc822\n%s\n%s\n--b\nContent-Type: message/rfc822\n\n\n--b--"
)
INNER = b"Subject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ninner text\n--c\n" + (
    b"Content-Type: application/x; name=a\nContent-Transfer-Encoding: base64\n\nQUJD\n--c--"
)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_attached_mail_is_opaque_and_can_be_opened(encoded: bool) -> None:
    if encoded:
        raw = OUTER % (b"Content-Transfer-Encoding: base64\n", __import__("base64").encodebytes(INNER))
    else:
        raw = OUTER % (b"", INNER)
    outer = whole(Bytes(raw))
    content = content_of(outer)
    assert [part.content for part in content.shown] == ["outer text"]
    first, second = content.attachments
    assert (first.message, second.message) == (True, True)
    assert first.name == ("message/rfc822" if encoded else "inner")
    assert second.name == "message/rfc822"
    inner = attached_mail(outer, first.part)
    assert inner is not None
    opened = content_of(inner)
    assert (opened.subject, [part.content for part in opened.shown]) == ("inner", ["inner text"])
    (attachment,) = opened.attachments
    part = part_of(inner, attachment.part)
    assert part is not None
    assert b"".join(pieces_of(inner, part)) == b"ABC"


def test_what_is_no_attached_mail_cannot_be_opened_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    outer = whole(Bytes(OUTER % (b"Content-Transfer-Encoding: base64\n", b"QUJD" * 10)))
    for number in (0, 1, 99, -1):
        assert attached_mail(outer, number) is None
    monkeypatch.setattr(reading, "MAX_ENCODED_MESSAGE", 10)
    assert attached_mail(outer, 2) is None


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(raw: bytes) -> None:
    check_readable(raw)


HEADER = st.sampled_from(
    ["From", "To", "Subject", "Date", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"]
)
PIECES = [*'ab@<>"(),;:=?/ \\\t%*é\udcff', "=?utf-8?", "multipart/", "text/html", "charset=", "boundary=b", "\n "]
VALUE = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
BODY = st.lists(st.sampled_from(["--b", "\n", "x", "--", "é", "=", "Content-Type: "]), max_size=30).map("".join)


@given(st.lists(st.tuples(HEADER, VALUE), max_size=8), BODY)
def test_any_headers_are_read(headers: list[tuple[str, str]], body: str) -> None:
    lines = "".join(f"{name}: {value}\n" for name, value in headers)
    check_readable(f"{lines}\n{body}".encode("utf-8", "surrogateescape"))


def check_readable(raw: bytes) -> None:
    summary, content = summary_of(Bytes(raw)), read(raw)
    names = [attachment.name for attachment in content.attachments]
    lines = (summary.sender, summary.subject, summary.snippet, content.sender, content.to, content.subject, *names)
    assert not any(set(line) & set("\n\r\t\0") for line in lines)
    "".join((*lines, content.text or "", *content.notes, *(part.content for part in content.shown))).encode()
