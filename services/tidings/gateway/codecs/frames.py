"""Client frames to messages (RFC 6455 section 5), however the bytes are split. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tidings.errors import ConnectionFailed
from tidings.gateway.codecs.websocket import MAX_CONTROL_BYTES, CloseCode, Message, Opcode

_OPCODES: Final = {int(opcode): opcode for opcode in Opcode}
_USUAL: Final = {0x80 | opcode: opcode for opcode in (Opcode.TEXT, Opcode.PONG)}
"""What nearly every frame is, by its first byte."""


class _Head(NamedTuple):
    opcode: Opcode
    fin: bool
    size: int
    mask: bytes


def _protocol_error(detail: str) -> ConnectionFailed:
    return ConnectionFailed(CloseCode.PROTOCOL_ERROR, "protocol_error", detail)


def _not_utf8() -> ConnectionFailed:
    return ConnectionFailed(CloseCode.INVALID_PAYLOAD, "invalid_utf8", "text is not UTF-8")


def _whole(data: bytes | bytearray | memoryview, most: int) -> Message | None:
    """The usual read: one text or pong of less than 126 bytes and nothing behind it; None for any other."""
    size = len(data) - 6
    if not 0 <= size <= most or size > MAX_CONTROL_BYTES or data[1] != 0x80 + size:
        return None
    opcode = _USUAL.get(data[0])
    if opcode is None:
        return None
    payload = _unmask(bytes(data[6:]), bytes(data[2:6])) if size else b""
    return Message(opcode, payload) if payload.isascii() else None


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


@dataclass(slots=True)
class Decoder:
    """Holds at most `max_message` bytes of payload and one frame head, and takes time linear in the bytes it is fed.

    A fault is found at the byte that makes it: a head's when the head is there, a text's within the frame.
    """

    max_message: int
    _buffer: bytearray = field(default_factory=bytearray)
    _head: _Head | None = None
    """The frame under way, and how much of its payload is in `_payload`."""
    _taken: int = 0
    _opcode: Opcode | None = None
    """The message under way: what it is, what there is of it, and the beginning of a character."""
    _payload: bytearray = field(default_factory=bytearray)
    _character: bytes = b""

    @property
    def idle(self) -> bool:
        """Whether nothing is kept: between two messages, on a frame boundary."""
        return not self._buffer and self._head is None and self._opcode is None

    @property
    def in_message(self) -> bool:
        """Whether a message is under way, of which at least the head of a frame has come."""
        return self._opcode is not None

    @property
    def kept(self) -> int:
        """The bytes that are kept."""
        return len(self._buffer) + len(self._payload)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Message | None]:
        """Take `data`, then yield something for each frame that it completes.

        That is the message that ends with the frame, a control frame, or None for a fragment that ends no message.
        Raises ConnectionFailed with the close code that the RFC names, after what came before the fault; a decoder that
        failed is of no use any more. One that was not read to the end goes on there when it is fed again.
        """
        if self.idle and (message := _whole(data, self.max_message)) is not None:
            return iter((message,))
        self._buffer += data
        return self._messages()

    def _messages(self) -> Iterator[Message | None]:
        while (head := self._head or self._read_head()) is not None:
            self._head = head
            if head.opcode >= Opcode.CLOSE and len(self._buffer) < head.size:
                return
            piece = self._take(head)
            whole = self._taken == head.size
            if whole:
                self._head, self._taken = None, 0
            if head.opcode >= Opcode.CLOSE:
                yield Message(head.opcode, piece)
                continue
            message = self._collect(piece, final=head.fin and whole)
            if not whole:
                return
            yield message

    def _read_head(self) -> _Head | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode = self._check(first, second)
        size, at = second & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[2:at], "big")
            if size < (126 if at == 4 else 65536) or size >> 63:
                raise _protocol_error("the length is not minimal, or has its highest bit set")
        if opcode < Opcode.CLOSE and len(self._payload) + size > self.max_message:
            detail = f"the message has more than {self.max_message} bytes"
            raise ConnectionFailed(CloseCode.MESSAGE_TOO_BIG, "message_too_big", detail)
        if len(buffer) < at + 4:
            return None
        mask = bytes(buffer[at : at + 4])
        del buffer[: at + 4]
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode = opcode
        return _Head(opcode, first >= 0x80, size, mask)

    def _check(self, first: int, second: int) -> Opcode:
        if first & 0x70:
            raise _protocol_error("reserved bits are set")
        opcode = _OPCODES.get(first & 0x0F)
        if opcode is None:
            raise _protocol_error("reserved opcode")
        if second < 0x80:
            raise _protocol_error("a client must mask its frames")
        if opcode >= Opcode.CLOSE:
            if first < 0x80 or second & 0x7F > MAX_CONTROL_BYTES:
                raise _protocol_error("a control frame must be whole, with at most 125 bytes")
        elif (opcode == Opcode.CONTINUATION) != (self._opcode is not None):
            raise _protocol_error("fragments out of order")
        return opcode

    def _take(self, head: _Head) -> bytes:
        """What is there of the frame's payload, unmasked."""
        masked = bytes(self._buffer[: head.size - self._taken])
        del self._buffer[: len(masked)]
        turn = self._taken % 4
        self._taken += len(masked)
        return _unmask(masked, head.mask[turn:] + head.mask[:turn])

    def _collect(self, piece: bytes, *, final: bool) -> Message | None:
        opcode = self._opcode
        if opcode == Opcode.TEXT:
            self._validate(piece, final=final)
        if not final:
            self._payload += piece
            return None
        if self._payload:
            self._payload += piece
            piece = bytes(self._payload)
            self._payload.clear()
        assert opcode is not None  # noqa: S101 - a continuation is admitted only within a message
        self._opcode = None
        return Message(opcode, piece)

    def _validate(self, piece: bytes, *, final: bool) -> None:
        text = self._character + piece
        try:
            _, valid = codecs.utf_8_decode(text, "strict", final)
        except UnicodeDecodeError:
            raise _not_utf8() from None
        self._character = text[valid:]
        # CPython waits for the third byte of a surrogate, in case its error handler would pass it.
        if self._character[:1] == b"\xed" and self._character[1:] >= b"\xa0":
            raise _not_utf8()
