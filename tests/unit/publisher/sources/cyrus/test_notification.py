from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.errors import NotificationError
from tidings.publisher.sources.cyrus.notification import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_OPTIONS,
    MAX_TOKENS,
    LineReader,
    Notification,
    read_datagram,
)

EVENT = b'{"event":"MessageNew","uri":"imap://vm/user/alice;UIDVALIDITY=1/;UID=1","modseq":4}'
HEAD = b"NOTIFY %(METHOD external CLASS EVENT PRIORITY NIL USER NIL MAILBOX NIL OPTIONS () MESSAGE "
LINE = HEAD + b"{%d+}\r\n%b FILEPATH NIL)\r\n" % (len(EVENT), EVENT)


def read(line: bytes) -> Notification:
    found = LineReader().feed(line)
    assert found is not None
    return found


def test_a_datagram_as_cyrus_sends_it() -> None:
    assert read_datagram(b"external\0EVENT\0\0\0\x000\0" + EVENT + b"\0") == Notification(b"EVENT", EVENT)


def test_a_datagram_with_options_and_a_file() -> None:
    data = b"log\0MAIL\0\0bob\0INBOX\x002\0one\0two\0New mail\0/var/spool/1.\0"
    assert read_datagram(data) == Notification(b"MAIL", b"New mail")
    assert read_datagram(b"log\0MAIL\0\0\0\x0099\0" + b"o\0" * MAX_OPTIONS + b"m\0") == Notification(b"MAIL", b"m")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"external\0EVENT\0\0\0",
        b"external\0EVENT\0\0\0x\0m\0",
        b"external\0EVENT\0\0\0-1\0m\0",
        b"external\0EVENT\0\0\0999\0m\0",
        b"external\0EVENT\0\0\x000\0",
        b"external\0EVENT\0\0\x000\0" + EVENT,
        b"external\0EVENT\0\0\0\x001\0" + EVENT + b"\0",
        b"log\0MAIL\0\0\0\x00100\0" + b"o\0" * 100 + b"m\0",
    ],
)
def test_a_datagram_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(NotificationError, match="a datagram without"):
        read_datagram(data)


def test_a_line_as_cyrus_sends_it() -> None:
    assert read(LINE) == Notification(b"EVENT", EVENT)


@pytest.mark.parametrize(
    "message",
    [b'"say \\"hello\\""', b'{11}\r\nsay "hello"', b'{11+}\nsay "hello"'],
)
def test_a_message_in_each_form_that_a_dlist_has(message: bytes) -> None:
    assert read(HEAD + message + b")\r\n").message == b'say "hello"'


def test_a_message_that_is_an_atom_or_has_options_before_it() -> None:
    assert read(b"NOTIFY %(CLASS EVENT OPTIONS (one (two) %(a b)) MESSAGE hello)\n") == Notification(b"EVENT", b"hello")


@given(st.lists(st.integers(0, len(LINE)), max_size=8))
@example([0, 0])
def test_a_line_is_read_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(LINE)]
    reader = LineReader()
    pieces = [LINE[start:end] for start, end in pairwise(places)]
    found = [reader.feed(piece) for piece in pieces]
    assert [each for each in found if each is not None][:1] == [Notification(b"EVENT", EVENT)]


def test_a_line_is_read_by_the_byte() -> None:
    reader = LineReader()
    began = [reader.began]
    found = [reader.feed(LINE[place : place + 1]) for place in range(len(LINE))]
    assert [*began, reader.began] == [False, True]
    assert found == [None] * (len(LINE) - 1) + [Notification(b"EVENT", EVENT)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\\", "not a dlist"),
        (b"NOTIFY %x", "not a dlist"),
        (b"NOTIFY \rx", "not a dlist"),
        (b"NOTIFY {x", "not a dlist"),
        (b"NOTIFY {123456789012", "not a dlist"),
        (b"NOTIFY {12+}x", "not a dlist"),
        (b")", "ends before it begins"),
        (b"NOTIFY %(CLASS EVENT\r\n", "does not end"),
        (b"(" * (MAX_DEPTH + 1), "nested lists"),
        (b"a " * MAX_TOKENS, "parts"),
        (b"NOTIFY {9999999+}\r\n" + b"x" * MAX_BYTES, "bytes"),
        (b'"' + b"x" * MAX_BYTES, "bytes"),
        (b"\r\n", "not a NOTIFY"),
        (b"OTHER %(CLASS EVENT MESSAGE m)\r\n", "not a NOTIFY"),
        (b"NOTIFY %(CLASS EVENT)\r\n", "not a NOTIFY"),
        (b"NOTIFY %(MESSAGE m)\r\n", "not a NOTIFY"),
        (b"NOTIFY %(CLASS EVENT MESSAGE (m))\r\n", "not a NOTIFY"),
    ],
)
def test_a_line_that_is_none_is_refused(line: bytes, said: str) -> None:
    with pytest.raises(NotificationError, match=said):
        LineReader().feed(line)


@given(st.binary(max_size=200) | st.text(alphabet='NOTIFY%(){}"\\12+ \r\n').map(str.encode))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for reading in (read_datagram, LineReader().feed):
        try:
            found = reading(data)
        except NotificationError:
            continue
        assert found is None or found.message in data or b"\\" in data
