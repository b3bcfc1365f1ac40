"""A publish as AMQP 0-9-1 frames, of which all but the payload is prepared once for each stream, and its answer. Pure.

Sections 2.3.5 and 4.2 of the specification; confirms are RabbitMQ's.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from pamqp import commands, frame

from tidings.bus.rabbitmq.splitting import BODY, END, FRAME_BYTES, HEADER, OVERHEAD

PERSISTENT: Final = 2
_BASIC: Final = 60
_PROPERTIES: Final = 1 << 12 | 1 << 7
"""The flags of a header that has a delivery mode and a message id, in this order."""
_header: Final = Struct(">BHIHHQHBB")
_HEADER_BYTES: Final = _header.size - (OVERHEAD - 1)
"""The payload of such a header, without the text of the id."""
_body: Final = Struct(">BHI")
_end: Final = bytes((END,))
_confirm: Final = Struct(">HHQB")
_ACK, _NACK = 80, 120


class PublishFrames:
    """The frames of one channel and exchange. `longest` is what broker and client have agreed upon; 0: no bound."""

    def __init__(self, channel: int, exchange: str, longest: int) -> None:
        self._channel = channel
        self._exchange = exchange
        self._piece = (longest or FRAME_BYTES) - OVERHEAD
        self._methods: dict[str, bytes] = {}

    def encode(self, routing_key: str, tag: int, payload: bytes) -> bytes:
        """A mandatory, persistent publish. Its message id is `tag`, by which it is known when it comes back."""
        method = self._methods.get(routing_key)
        if method is None:
            publish = commands.Basic.Publish(exchange=self._exchange, routing_key=routing_key, mandatory=True)
            method = self._methods[routing_key] = frame.marshal(publish, self._channel)
        message_id = b"%d" % tag
        length = len(message_id)
        size = _HEADER_BYTES + length
        header = _header.pack(HEADER, self._channel, size, _BASIC, 0, len(payload), _PROPERTIES, PERSISTENT, length)
        parts = [method, header, message_id, _end]
        for begin in range(0, len(payload), self._piece):
            piece = payload[begin : begin + self._piece]
            parts += _body.pack(BODY, self._channel, len(piece)), piece, _end
        return b"".join(parts)


class Confirm(NamedTuple):
    """The broker has a publish, or does not take it (`refused`); `multiple`: and so all before it."""

    tag: int
    refused: bool
    multiple: bool


def read_confirm(data: bytes, at: int, stop: int) -> Confirm | None:
    """The confirm that a method is, which lies in `data` from `at` to `stop`; None for another method."""
    if stop - at != _confirm.size:
        return None
    class_id, method, tag, bits = _confirm.unpack_from(data, at)
    if class_id != _BASIC or method not in (_ACK, _NACK):
        return None
    return Confirm(tag, method == _NACK, bool(bits & 1))
