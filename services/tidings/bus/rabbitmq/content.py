"""What the header of a message says: how long the message is, and its offset in the stream. Pure.

AMQP 0-9-1 sections 2.3.5.2 and 4.2.3.5, with the types of fields as RabbitMQ writes them. What other properties and
the headers of applications say is passed over.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final

from tidings.errors import ReadLost

_start: Final = Struct(">4xQH")
"""Class, weight, the size of the body, flags."""
_length: Final = Struct(">I")
_offset: Final = Struct(">q")

_CONTENT_TYPE: Final = 0x8000
_CONTENT_ENCODING: Final = 0x4000
_HEADERS: Final = 0x2000
_MORE_FLAGS: Final = 0x0001

_NAME: Final = b"x-stream-offset"
_FIELD: Final = bytes((len(_NAME),)) + _NAME + b"l"
"""The field as it lies in a table, before its value."""

_WIDTHS: Final = {
    ord(kind): width
    for width, kinds in ((0, "V"), (1, "tbB"), (2, "su"), (4, "iIf"), (5, "D"), (8, "lLdT"))
    for kind in kinds
}
_LONG: Final = frozenset(b"SxAF")
"""Types of fields that begin with how long they are."""


def read_content(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """The size of the body and the offset, of a content header that lies in `data` from `at` to `stop`.

    Raises ReadLost where there is no offset: it is no message of a stream.
    """
    try:
        size, flags = _start.unpack_from(data, at)
        table = at + _start.size
        if flags & _MORE_FLAGS:
            raise ReadLost("the broker sent a delivery with properties that AMQP 0-9-1 does not have")
        for property_before in (_CONTENT_TYPE, _CONTENT_ENCODING):
            if flags & property_before:
                table += 1 + data[table]
        if flags & _HEADERS:
            first = table + _length.size
            end = first + _length.unpack_from(data, table)[0]
            found = first if data.startswith(_FIELD, first) else _find(data, first, end)
            if found + len(_FIELD) + _offset.size <= end <= stop:
                return size, _offset.unpack_from(data, found + len(_FIELD))[0]
    except (struct.error, IndexError, KeyError):
        pass
    raise ReadLost("the broker sent a delivery without an offset")


def _find(data: bytes, at: int, end: int) -> int:
    """Where the field is in a table, or its end. Raises IndexError, KeyError and struct.error for what is no table."""
    while at < end and not data.startswith(_FIELD, at):
        at += 1 + data[at]
        kind = data[at]
        at += 1
        at += _length.size + _length.unpack_from(data, at)[0] if kind in _LONG else _WIDTHS[kind]
    return at
