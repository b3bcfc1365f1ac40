"""The cursor: how far a client has been told, as one opaque string. Pure.

Layout, before unpadded base64url: version byte, shard count (varint), then for each shard of the client's
accounts in ascending order: shard number (varint), offset (varint), check (4 bytes, of the batch at that offset).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple
from zlib import crc32

from tidings.errors import CursorError
from tidings.wire.shard import MAX_SHARDS

VERSION: Final = 1
CHECK_BYTES: Final = 4
MAX_CHARS: Final = 8192
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_VARINT_BYTES: Final = 9
"""Enough for 63 bits."""
_SHORT: Final = [bytes((value,)) for value in range(0x80)]


class Position(NamedTuple):
    """A place in one shard's log. `check` is a short hash of the batch id there, so that a recreated log shows."""

    offset: int
    check: bytes


def check_of(batch_id: bytes) -> bytes:
    """The check of a batch id."""
    return crc32(batch_id).to_bytes(CHECK_BYTES, "big")


def _varint(value: int) -> bytes:
    if value <= 0x7F:
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_entry(shard: int, position: Position) -> bytes:
    """One shard's part of a cursor."""
    return _varint(shard) + _varint(position.offset) + position.check


def join(shards: int, entries: bytes) -> str:
    """A cursor from its entries, which the caller has put in ascending order of shard."""
    return b2a_base64(_head(shards) + entries, newline=False).translate(_TO_URL, b"=").decode()


@cache
def _head(shards: int) -> bytes:
    return bytes((VERSION,)) + _varint(shards)


def encode(shards: int, positions: Mapping[int, Position]) -> str:
    """The cursor that covers `positions` (shard -> position) in an installation of `shards` shards."""
    return join(shards, b"".join(encode_entry(shard, positions[shard]) for shard in sorted(positions)))


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(start, min(start + _VARINT_BYTES, len(data))):
        value |= (data[index] & 0x7F) << shift
        if data[index] <= 0x7F:
            if data[index] == 0 and shift:
                break
            return value, index + 1
        shift += 7
    raise CursorError("truncated or oversized number")


def decode(cursor: str) -> tuple[int, dict[int, Position]]:
    """The shard count and the positions of a cursor.

    Raises CursorError for anything that `encode` did not write.
    """
    if len(cursor) > MAX_CHARS:
        raise CursorError(f"longer than {MAX_CHARS} characters")
    try:
        text = cursor.encode("ascii")
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError as error:
        raise CursorError("not base64url") from error
    if urlsafe_b64encode(data).rstrip(b"=") != text:
        raise CursorError("not canonical base64url")
    if not data or data[0] != VERSION:
        raise CursorError("not a cursor of this version")
    shards, at = _read_varint(data, 1)
    if not 1 <= shards <= MAX_SHARDS:
        raise CursorError("impossible shard count")
    positions: dict[int, Position] = {}
    last = -1
    while at < len(data):
        shard, at = _read_varint(data, at)
        offset, at = _read_varint(data, at)
        check = data[at : at + CHECK_BYTES]
        at += CHECK_BYTES
        if not last < shard < shards or len(check) != CHECK_BYTES:
            raise CursorError("shards out of order or truncated")
        positions[shard] = Position(offset, check)
        last = shard
    return shards, positions
