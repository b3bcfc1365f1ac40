from __future__ import annotations

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.amqp import content, deliver, delivery, entries_by_library, frame, method, split
from tidings.bus.log import Entry
from tidings.bus.rabbitmq import deliveries as module
from tidings.bus.rabbitmq.deliveries import Deliveries, acknowledgement, is_delivery
from tidings.bus.rabbitmq.splitting import BODY, HEADER, METHOD, Splitter
from tidings.errors import ReadLost

CHANNEL = 9
ENTRIES = st.lists(st.tuples(st.integers(0, 2**62 - 1), st.binary(max_size=100)), max_size=6)


def fed(stream: bytes, first: int = 0, *, cuts: tuple[int, ...] = ()) -> Deliveries:
    taken = Deliveries(first)
    splitter = Splitter({CHANNEL: taken})
    for piece in split(stream, cuts):
        splitter.feed(piece)
    return taken


def delivered(entry: Entry, tag: int = 1) -> bytes:
    return delivery(CHANNEL, tag, entry)


@given(ENTRIES, st.text(max_size=20), st.integers(1, 40), st.lists(st.integers(0, 2000), max_size=6))
def test_entries_are_those_that_the_library_finds(
    entries: list[tuple[int, bytes]], consumer: str, piece: int, cuts: list[int]
) -> None:
    stream = b"".join(
        delivery(CHANNEL, tag, Entry(*entry), consumer=consumer, piece=piece) + delivery(1, tag, Entry(0, b"other"))
        for tag, entry in enumerate(entries, 1)
    )
    taken = fed(stream, cuts=tuple(cuts))
    found = entries_by_library(stream, CHANNEL)
    assert taken.entries == [entry for _, entry in found] == [Entry(*entry) for entry in entries]
    assert taken.bytes == sum(len(payload) for _, payload in entries)
    assert (taken.count, taken.tag) == (len(entries), found[-1][0] if found else 0)


def test_what_is_below_the_first_offset_is_only_acknowledged() -> None:
    """A broker delivers whole chunks, which begin before."""
    taken = fed(b"".join(delivered(Entry(offset, b"x"), tag=offset + 1) for offset in range(5)), first=3)
    assert taken.entries == [(3, b"x"), (4, b"x")]
    assert (taken.count, taken.tag, taken.bytes) == (5, 5, 2)


def test_what_is_taken_is_gone() -> None:
    taken = fed(delivered(Entry(1, b"x")))
    assert taken.take() == [(1, b"x")]
    assert (taken.entries, taken.count, taken.bytes, taken.tag) == ([], 0, 0, 1)


def test_an_unfinished_entry_is_none() -> None:
    taken = fed(delivered(Entry(1, b"whole")) + delivered(Entry(2, b"half"))[:-1])
    assert taken.entries == [(1, b"whole")]
    assert taken.count == 1


@pytest.mark.parametrize("piece", [4, 11, 100])
def test_one_that_is_too_long_comes_without_its_bytes_and_the_next_as_ever(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRY_BYTES", 10)
    taken = fed(
        b"".join(delivery(CHANNEL, 1, Entry(size, bytes(size)), piece=piece) for size in (10, 11, 40, 9)),
    )
    assert taken.entries == [(10, bytes(10)), (11, b""), (40, b""), (9, bytes(9))]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (frame(BODY, CHANNEL, b"x"), "do not fit"),
        (frame(HEADER, CHANNEL, content(1, 1)), "do not fit"),
        (delivered(Entry(1, b"x"))[:-9] + delivered(Entry(2, b"x")), "do not fit"),
        (deliver(CHANNEL, 1) + frame(BODY, CHANNEL, b"x"), "do not fit"),
        (frame(METHOD, CHANNEL, b"\0\x3c\0\x3c"), "tag"),
        (frame(METHOD, CHANNEL, b"\0\x3c\0\x3c\x05abcde1234567"), "tag"),
        (
            deliver(CHANNEL, 1) + frame(HEADER, CHANNEL, content(1, 1)) + frame(BODY, CHANNEL, b"xy"),
            "longer",
        ),
        (deliver(CHANNEL, 1) + frame(HEADER, CHANNEL, content(1, None)), "offset"),
    ],
    ids=["body", "header", "second", "no header", "empty", "half a tag", "longer", "no offset"],
)
def test_pieces_that_do_not_fit_end_the_reading(stream: bytes, why: str) -> None:
    with pytest.raises(ReadLost, match=why):
        fed(stream)


@given(st.integers(1, 65_535), st.integers(0, 2**63 - 1))
def test_an_acknowledgement_is_what_the_library_says(channel: int, tag: int) -> None:
    assert acknowledgement(channel, tag) == method(channel, spec.Basic.Ack(tag, multiple=True))


def test_only_a_delivery_begins_one() -> None:
    assert is_delivery(deliver(1, 1), 7)
    assert not is_delivery(method(1, spec.Basic.Cancel("c")), 7)
