"""The deliveries of one channel, put together of their frames: a method, a header, and the body in pieces. Pure.

AMQP 0-9-1 section 4.2.6. Only what a reader of a stream needs is looked at: delivery tag, offset and body.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from tidings.bus.log import Entry
from tidings.bus.rabbitmq.content import read_content
from tidings.bus.rabbitmq.splitting import BODY, END, HEADER, METHOD
from tidings.errors import ReadLost

MAX_ENTRY_BYTES: Final = 4 * 1024 * 1024
"""A publisher's batches have at most a sixteenth of this."""

_DELIVER: Final = b"\x00\x3c\x00\x3c"
_tag: Final = Struct(">Q")
_ack: Final = Struct(">BHIHHQBB")
_ACK_BYTES: Final = 13

_new: Final = tuple.__new__
"""What makes an Entry without the call into Python that a NamedTuple's own constructor is."""


def is_delivery(data: bytes, at: int) -> bool:
    """Whether the method whose frame's payload begins at `at` begins a delivery."""
    return data.startswith(_DELIVER, at)


def acknowledgement(channel: int, tag: int) -> bytes:
    """The frame that acknowledges what was delivered on a channel up to this tag."""
    return _ack.pack(METHOD, channel, _ACK_BYTES, 60, 80, tag, 1, END)


class Deliveries:
    """What was delivered and is not taken yet: `entries` from the offset `first` on, `bytes` long altogether.

    `tag` is the newest delivery's, and `count` counts deliveries. An entry that is longer than MAX_ENTRY_BYTES is not
    kept: it comes without its bytes, which is no batch.
    """

    __slots__ = (
        "_body",
        "_expected",
        "_first",
        "_left",
        "_offset",
        "_size",
        "_tag",
        "bytes",
        "count",
        "entries",
        "tag",
    )

    def __init__(self, first: int) -> None:
        self.entries: list[Entry] = []
        self.bytes = 0
        self.count = 0
        self.tag = 0
        self._first = first
        self._expected = METHOD
        self._tag = 0
        self._offset = 0
        self._size = 0
        self._left = 0
        self._body = bytearray()

    def take(self) -> list[Entry]:
        """The entries, which are others' now."""
        entries, self.entries, self.bytes, self.count = self.entries, [], 0, 0
        return entries

    def frame(self, kind: int, data: bytes, at: int, stop: int) -> None:
        """Take a frame of a delivery, whose payload is `data` from `at` to `stop`.

        Raises ReadLost for a frame that cannot come here.
        """
        if kind != self._expected:
            raise ReadLost("the broker sent a delivery in pieces that do not fit")
        if kind == BODY:
            self._piece(data, at, stop)
        elif kind == METHOD:
            tag = at + 5 + data[at + 4] if at + 4 < stop else stop
            if tag + _tag.size > stop:
                raise ReadLost("the broker sent a delivery without a tag")
            (self._tag,) = _tag.unpack_from(data, tag)
            self._expected = HEADER
        else:
            self._size, self._offset = read_content(data, at, stop)
            self._left = self._size
            if self._size:
                self._expected = BODY
            else:
                self._complete(b"")

    def _piece(self, data: bytes, at: int, stop: int) -> None:
        piece = stop - at
        self._left -= piece
        if self._left < 0:
            raise ReadLost("the broker sent a delivery longer than its header says")
        if self._size > MAX_ENTRY_BYTES:
            if not self._left:
                self._complete(b"")
        elif piece == self._size:
            self._complete(data[at:stop])
        else:
            self._body += data[at:stop]
            if not self._left:
                self._complete(bytes(self._body))
                self._body.clear()

    def _complete(self, payload: bytes) -> None:
        self._expected = METHOD
        self.tag = self._tag
        self.count += 1
        if self._offset >= self._first:
            self.entries.append(_new(Entry, (self._offset, payload)))
            self.bytes += len(payload)
