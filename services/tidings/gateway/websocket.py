"""The WebSocket protocol (RFC 6455), server side: handshake, frames, messages. Pure."""

from __future__ import annotations

import codecs
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha1
from typing import Final

from tidings.errors import ConnectionFailed, RequestRejected
from tidings.gateway.http1 import Request

VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_CONTROL_BYTES: Final = 125


class Opcode(IntEnum):
    """Frame opcodes (RFC 6455 section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Close codes used here (RFC 6455 section 7.4.1 and its registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013


@dataclass(frozen=True, slots=True)
class Message:
    """A complete text or binary message, or a control frame."""

    opcode: Opcode
    payload: bytes


def accept_value(key: str) -> str:
    """The Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode()


def check_upgrade(request: Request) -> None:
    """Check an upgrade request (RFC 6455 section 4.2.1).

    Raises RequestRejected: 400 for what is missing or wrong, 405, 426 for another version.
    """
    if request.method != "GET":
        raise RequestRejected(405, "bad_upgrade", "an upgrade is a GET")
    if request.version < (1, 1):
        raise RequestRejected(400, "bad_upgrade", "an upgrade needs HTTP/1.1")
    if "websocket" not in request.tokens("upgrade") or "upgrade" not in request.tokens("connection"):
        raise RequestRejected(400, "bad_upgrade", "this is a WebSocket: Upgrade and Connection are missing")
    if request.headers.get("sec-websocket-version") != VERSION:
        raise RequestRejected(426, "websocket_version", "only WebSocket version 13 is spoken here")
    key = request.headers.get("sec-websocket-key", "")
    try:
        valid = len(key) == 24 and len(b64decode(key, validate=True)) == 16
    except (Base64Error, ValueError):
        valid = False
    if not valid:
        raise RequestRejected(400, "bad_upgrade", "Sec-WebSocket-Key must be 16 bytes in base64")
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise RequestRejected(400, "bad_upgrade", "an upgrade has no body")


def handshake(request: Request, subprotocol: str) -> bytes:
    """The response that accepts a checked upgrade request (RFC 6455 section 4.2.2).

    Raises RequestRejected (400) when the client does not offer the subprotocol.
    """
    offered = [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",")]
    if subprotocol not in offered:
        raise RequestRejected(400, "subprotocol", f"offer the subprotocol {subprotocol} (RFC 8887 section 4.1)")
    accept = accept_value(request.headers["sec-websocket-key"])
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    ).encode("ascii")


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """An unmasked final frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what a control frame holds, on a character boundary."""
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + text)


def close_reply(payload: bytes) -> tuple[int, bytes]:
    """The code a peer closed with, and the frame that answers it (RFC 6455 sections 5.5.1, 7.4).

    Raises ConnectionFailed for a malformed close.
    """
    if not payload:
        return CloseCode.NO_STATUS, frame(Opcode.CLOSE, b"")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in range(1000, 1004) or code in range(1007, 1015) or 3000 <= code < 5000):
        raise ConnectionFailed(CloseCode.PROTOCOL_ERROR, "protocol_error", "impossible close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ConnectionFailed(CloseCode.INVALID_PAYLOAD, "invalid_utf8", "close reason is not UTF-8") from None
    return code, frame(Opcode.CLOSE, payload[:2])


def _protocol_error(detail: str) -> ConnectionFailed:
    return ConnectionFailed(CloseCode.PROTOCOL_ERROR, "protocol_error", detail)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


@dataclass(slots=True)
class Decoder:
    """Client bytes in, messages out, however they are split. Holds at most `max_message` bytes and a head."""

    max_message: int
    _buffer: bytearray = field(default_factory=bytearray)
    _fragments: bytearray | None = None
    _opcode: Opcode = Opcode.TEXT
    _utf8: codecs.IncrementalDecoder | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is kept: between two messages, on a frame boundary."""
        return not self._buffer and self._fragments is None

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Message]:
        """Take `data`, then yield the messages that it completes.

        Raises ConnectionFailed with the close code that the RFC names, after the messages before the fault.
        """
        self._buffer += data
        return self._messages()

    def _messages(self) -> Iterator[Message]:
        while (message := self._next_frame()) is not None:
            opcode, fin, payload = message
            if opcode >= Opcode.CLOSE:
                yield Message(opcode, payload)
                continue
            complete = self._collect(opcode, fin, payload)
            if complete is not None:
                yield complete

    def _next_frame(self) -> tuple[Opcode, bool, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode = self._check_head(first, second)
        size, at = second & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            at += width
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[2:at], "big")
            if size < (126 if width == 2 else 65536) or size >> 63:
                raise _protocol_error("the length is not minimal")
        held = len(self._fragments) if self._fragments is not None else 0
        if opcode < Opcode.CLOSE and held + size > self.max_message:
            raise ConnectionFailed(CloseCode.MESSAGE_TOO_BIG, "message_too_big", f"over {self.max_message} bytes")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        payload = _unmask(bytes(buffer[at + 4 : end]), bytes(buffer[at : at + 4]))
        del buffer[:end]
        return opcode, bool(first & 0x80), payload

    def _check_head(self, first: int, second: int) -> Opcode:
        if first & 0x70:
            raise _protocol_error("reserved bits are set")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise _protocol_error("reserved opcode") from None
        if not second & 0x80:
            raise _protocol_error("a client masks its frames")
        if opcode >= Opcode.CLOSE:
            if not first & 0x80 or second & 0x7F > MAX_CONTROL_BYTES:
                raise _protocol_error("a control frame is short and whole")
        elif (opcode == Opcode.CONTINUATION) != (self._fragments is not None):
            raise _protocol_error("fragments out of order")
        return opcode

    def _collect(self, opcode: Opcode, fin: bool, payload: bytes) -> Message | None:
        if opcode != Opcode.CONTINUATION:
            self._opcode = opcode
            self._utf8 = codecs.getincrementaldecoder("utf-8")() if opcode == Opcode.TEXT else None
            if fin:
                self._validate(payload, final=True)
                return Message(opcode, payload)
            self._fragments = bytearray()
        fragments = self._fragments
        assert fragments is not None  # noqa: S101 - _check_head admits a continuation only then
        self._validate(payload, final=fin)
        fragments += payload
        if not fin:
            return None
        self._fragments = None
        return Message(self._opcode, bytes(fragments))

    def _validate(self, payload: bytes, *, final: bool) -> None:
        if self._utf8 is None:
            return
        try:
            self._utf8.decode(payload, final)
        except UnicodeDecodeError:
            raise ConnectionFailed(CloseCode.INVALID_PAYLOAD, "invalid_utf8", "text is not UTF-8") from None
