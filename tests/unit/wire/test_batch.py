from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import BatchError
from tidings.wire.batch import (
    ID_BYTES,
    MAX_TRACED,
    RESET_VERSION,
    VERSION,
    Batch,
    Traced,
    decode,
    encode,
    encode_reset,
    is_traced,
    marked,
    restamped,
)
from tidings.wire.change import Change

ID = bytes(range(ID_BYTES))

seconds = st.floats(allow_nan=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
change = st.builds(
    Change,
    account=text,
    changed=st.dictionaries(text, st.none() | text, max_size=4),
    event=text,
    id=text,
    source=text,
    time=st.none() | seconds,
    ingested=seconds,
)


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), seconds, st.lists(change, max_size=5).map(tuple))
def test_round_trip(batch_id: bytes, appended: float, changes: tuple[Change, ...]) -> None:
    assert decode(encode(batch_id, appended, changes)) == Batch(VERSION, batch_id, appended, changes)


def test_an_empty_batch_is_a_marker() -> None:
    made = Change("alice", {"Email": None}, "MessageNew", "1", "maildir")
    assert decode(encode(ID, 1.0, ())).is_marker
    assert not decode(encode(ID, 1.0, (made,))).is_marker


def test_the_encoding_never_changes() -> None:
    """What one version appended, the next one reads."""
    payload = bytes.fromhex(
        "9401c410000102030405060708090a0b0c0d0e0fcb3ff0000000000000"
        "9197a5616c69636581a5456d61696ca27331aa4d6573736167654e6577a131a76d61696c646972c0cb4000000000000000"
    )
    made = Change("alice", {"Email": "s1"}, "MessageNew", "1", "maildir", None, 2.0)
    assert decode(payload) == Batch(VERSION, ID, 1.0, (made,))
    assert encode(ID, 1.0, (made,)) == payload


def test_a_reset_is_no_marker_and_stays_one_when_it_is_stamped_again() -> None:
    reset = decode(encode_reset(ID, 1.0))
    assert reset == Batch(RESET_VERSION, ID, 1.0, ())
    assert reset.is_reset
    assert not reset.is_marker
    assert decode(restamped(reset, 2.0)) == Batch(RESET_VERSION, ID, 2.0, ())
    assert not decode(encode(ID, 1.0, ())).is_reset


def test_what_is_stamped_again_is_otherwise_the_same() -> None:
    made = Change("alice", {"Email": "s1"}, "MessageNew", "1", "maildir", None, 2.0)
    assert restamped(decode(encode(ID, 1.0, (made,))), 3.0) == encode(ID, 3.0, (made,))


@given(st.binary())
def test_garbage_is_no_batch(payload: bytes) -> None:
    with pytest.raises(BatchError):
        decode(payload)


@given(st.data(), st.lists(change, min_size=1, max_size=3).map(tuple))
def test_a_damaged_batch_is_a_batch_or_an_error(data: st.DataObject, changes: tuple[Change, ...]) -> None:
    payload = bytearray(encode(ID, 1.0, changes))
    for index in data.draw(st.lists(st.integers(0, len(payload) - 1), min_size=1, max_size=4)):
        payload[index] = data.draw(st.integers(0, 255))
    try:
        batch = decode(bytes(payload))
    except BatchError:
        return
    assert isinstance(batch, Batch)


@given(st.lists(change, max_size=2).map(tuple), st.data())
def test_a_truncated_batch_is_an_error(changes: tuple[Change, ...], data: st.DataObject) -> None:
    payload = encode(ID, 1.0, changes)
    with pytest.raises(BatchError):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        encode(ID, 1.0, ()) + b"\xc0",
        msgspec.msgpack.encode([RESET_VERSION + 1, ID, 1.0, []]),
        msgspec.msgpack.encode([VERSION, ID[1:], 1.0, []]),
        msgspec.msgpack.encode([VERSION, ID, 1.0, [["alice"]]]),
        # A string that is not UTF-8, and arrays and maps that announce 2^32-1 members.
        encode(ID, 1.0, ())[:-1] + b"\x91\x97\xa1\xff",
        encode(ID, 1.0, ())[:-1] + b"\xdd\xff\xff\xff\xff",
        encode(ID, 1.0, ())[:-1] + b"\x91\x97\xa1a\xdf\xff\xff\xff\xff",
        # Arrays nested deeper than the stack.
        b"\x95" + encode(ID, 1.0, ())[1:] + b"\x91" * 100_000,
    ],
)
def test_what_is_no_batch_of_this_version(payload: bytes) -> None:
    with pytest.raises(BatchError):
        decode(payload)


def test_the_id_of_a_batch_says_whether_it_is_followed() -> None:
    for batch_id in (bytes(16), b"\xff" * 16, bytes(range(16))):
        assert is_traced(marked(batch_id, traced=True))
        assert not is_traced(marked(batch_id, traced=False))
        assert marked(batch_id, traced=True)[:-1] == batch_id[:-1]
        assert len(marked(batch_id, traced=False)) == ID_BYTES


MADE = Change("alice", {"Email": "s1"}, "MessageNew", "1", "maildir", None, 2.0)
TRACED = (Traced(0, bytes(range(24))),)


def test_a_batch_says_which_of_its_changes_are_traced() -> None:
    payload = encode(ID, 1.0, (MADE,), TRACED)
    assert decode(payload) == Batch(VERSION, ID, 1.0, (MADE,), TRACED)
    assert decode(restamped(decode(payload), 3.0)) == Batch(VERSION, ID, 3.0, (MADE,), TRACED)
    assert decode(encode(ID, 1.0, (MADE,))).traced == ()


class EarlierBatch(msgspec.Struct, frozen=True, array_like=True):
    """A batch as versions read it that know nothing of traces."""

    version: int
    id: bytes
    appended: float
    changes: tuple[Change, ...]


def test_an_earlier_version_reads_a_batch_with_traces_as_one_without() -> None:
    payload = encode(ID, 1.0, (MADE,), TRACED)
    assert msgspec.msgpack.decode(payload, type=EarlierBatch) == EarlierBatch(VERSION, ID, 1.0, (MADE,))


def test_a_trace_costs_28_bytes_and_none_costs_nothing() -> None:
    without = len(encode(ID, 1.0, (MADE,)))
    assert len(msgspec.msgpack.encode(EarlierBatch(VERSION, ID, 1.0, (MADE,)))) == without
    assert len(encode(ID, 1.0, (MADE,), TRACED)) == without + 1 + 28


@pytest.mark.parametrize(
    "traced",
    [
        [[0, bytes(23)]],
        [[0, bytes(25)]],
        [[-1, bytes(24)]],
        [[0]],
        [[0, bytes(24)]] * (MAX_TRACED + 1),
        7,
    ],
)
def test_what_cannot_be_traces_is_no_batch(traced: object) -> None:
    with pytest.raises(BatchError):
        decode(msgspec.msgpack.encode([VERSION, ID, 1.0, [MADE], traced]))
