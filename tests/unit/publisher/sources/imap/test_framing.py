from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import ImapError
from tidings.publisher.sources.imap.framing import MAX_RESPONSE_BYTES, Framer, Record

SAID = (
    b"* OK ready\r\n"
    b"* STATUS {6}\r\nA\r\nb c (MESSAGES 3)\r\n"
    b'* LIST () {1}\r\n/ {0}\r\n ("x")\r\n'
    b"+ idling\n"
    b"* OK what {nine}\r\n"
)
MEANT: list[Record] = [
    [b"* OK ready"],
    [(b"* STATUS {6}", b"A\r\nb c"), b" (MESSAGES 3)"],
    [(b"* LIST () {1}", b"/"), (b" {0}", b""), b' ("x")'],
    [b"+ idling"],
    [b"* OK what {nine}"],
]


@given(st.lists(st.integers(0, len(SAID)), max_size=8))
def test_responses_may_be_torn_anywhere(cuts: list[int]) -> None:
    framer = Framer()
    edges = [0, *sorted(cuts), len(SAID)]
    found = [record for start, end in itertools.pairwise(edges) for record in framer.feed(SAID[start:end])]
    assert found == MEANT


def test_byte_by_byte_is_the_same() -> None:
    framer = Framer()
    assert [record for byte in SAID for record in framer.feed(bytes([byte]))] == MEANT


@pytest.mark.parametrize(
    "said",
    [
        b"* " + b"a" * MAX_RESPONSE_BYTES,
        b"* STATUS {65537}\r\n",
        b"* STATUS {9999999999}\r\n",
        b"* LIST " + b"{1}\r\n/ " * 20_000,
        b"* " + b"a" * 40_000 + b" {40000}\r\n",
    ],
)
def test_what_is_too_large_is_refused_before_it_is_all_there(said: bytes) -> None:
    with pytest.raises(ImapError, match="more than 65536 bytes") as refused:
        list(Framer().feed(said))
    assert refused.value.reason == "protocol"


def test_many_responses_at_once_are_not_one_that_is_too_large() -> None:
    assert len(list(Framer().feed(b"* OK still here\r\n" * 10_000))) == 10_000


def test_what_came_before_a_response_that_is_too_large_is_heard() -> None:
    heard: list[Record] = []
    with pytest.raises(ImapError):
        heard.extend(Framer().feed(b"* OK ready\r\n* STATUS {65537}\r\n"))
    assert heard == [[b"* OK ready"]]
