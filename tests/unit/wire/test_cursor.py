from __future__ import annotations

import string
from base64 import urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.errors import CursorError
from tidings.wire.cursor import (
    CHECK_BYTES,
    MAX_CHARS,
    VERSION,
    Position,
    check_of,
    decode,
    encode,
    encode_entry,
    join,
)
from tidings.wire.shard import MAX_SHARDS

CHECK = b"\1\2\3\4"
MAX_OFFSET = 2**63 - 1

position = st.builds(Position, st.integers(0, MAX_OFFSET), st.binary(min_size=CHECK_BYTES, max_size=CHECK_BYTES))


@st.composite
def cursors(draw: st.DrawFn) -> tuple[int, dict[int, Position]]:
    shards = draw(st.integers(1, MAX_SHARDS))
    return shards, draw(st.dictionaries(st.integers(0, shards - 1), position, max_size=20))


def cursor_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@given(cursors())
def test_round_trip(cursor: tuple[int, dict[int, Position]]) -> None:
    assert decode(encode(*cursor)) == cursor


@given(cursors())
def test_entries_joined_are_the_cursor(cursor: tuple[int, dict[int, Position]]) -> None:
    """The hub keeps the encoded entry of each shard and joins those of a connection."""
    shards, positions = cursor
    entries = b"".join(encode_entry(shard, positions[shard]) for shard in sorted(positions))
    assert join(shards, entries) == encode(shards, positions)


def test_the_encoding_never_changes() -> None:
    """A client keeps its cursor across a deploy."""
    assert encode(64, {3: Position(300, CHECK), 1: Position(0, CHECK)}) == "AUABAAECAwQDrAIBAgME"


@pytest.mark.parametrize("offset", [2**40, MAX_OFFSET])
def test_the_cursor_of_one_account_is_short(offset: int) -> None:
    """It is in every frame, in an ETag, in an event's id."""
    assert len(encode(MAX_SHARDS, {MAX_SHARDS - 1: Position(offset, CHECK)})) <= 40


@given(cursors())
def test_a_cursor_needs_no_escaping_in_url_header_or_json(cursor: tuple[int, dict[int, Position]]) -> None:
    assert set(encode(*cursor)) <= set(string.ascii_letters + string.digits + "-_")


@given(st.text() | st.text(string.ascii_letters + string.digits + "-_", max_size=60).map("AUAB".__add__))
@example("AUA=")
@example("A U A")
def test_what_decodes_is_what_encode_writes(text: str) -> None:
    """One cursor, one spelling: it serves as an ETag. And garbage raises nothing but CursorError."""
    try:
        shards, positions = decode(text)
    except CursorError:
        return
    assert encode(shards, positions) == text


@pytest.mark.parametrize(
    ("cursor", "fault"),
    [
        ("", "version"),
        ("é", "base64url"),
        ("A", "base64url"),
        ("AUA!", "base64url"),
        ("AUA=", "canonical"),
        ("AUB", "canonical"),
        ("A" * (MAX_CHARS + 1), "longer"),
        (cursor_of(bytes((VERSION + 1, 64))), "version"),
        (cursor_of(bytes((VERSION,))), "number"),
        (cursor_of(bytes((VERSION, 0))), "shard count"),
        (cursor_of(bytes((VERSION, 0x81, 0x08))), "shard count"),
        (cursor_of(bytes((VERSION, 0xC0, 0x00))), "number"),
        (cursor_of(bytes((VERSION, 64, 1)) + b"\xff" * 10 + CHECK), "number"),
        (cursor_of(bytes((VERSION, 64, 1, 5)) + CHECK[1:]), "truncated"),
        (cursor_of(bytes((VERSION, 64, 1))), "number"),
        (join(64, encode_entry(64, Position(1, CHECK))), "out of order"),
        (join(64, encode_entry(2, Position(1, CHECK)) + encode_entry(1, Position(1, CHECK))), "out of order"),
        (join(64, encode_entry(2, Position(1, CHECK)) * 2), "out of order"),
    ],
)
def test_what_is_no_cursor(cursor: str, fault: str) -> None:
    with pytest.raises(CursorError, match=fault):
        decode(cursor)


def test_the_check_tells_batches_apart() -> None:
    assert check_of(b"a" * 16) == check_of(b"a" * 16)
    assert check_of(b"a" * 16) != check_of(b"b" * 16)
    assert len(check_of(b"a" * 16)) == CHECK_BYTES
