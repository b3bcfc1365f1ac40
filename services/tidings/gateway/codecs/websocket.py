"""The WebSocket protocol (RFC 6455), server side: handshake, frames as they are sent, close codes. Pure."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from hashlib import sha1
from struct import Struct
from typing import Final, NamedTuple

from tidings.errors import ConnectionFailed, RequestRejected
from tidings.gateway.codecs.http1 import Request, elements, has_body

VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_CONTROL_BYTES: Final = 125
KNOWN_LISTS: Final = 64
"""How many combinations of list fields are remembered as good ones: there are as many as kinds of clients."""
_MEDIUM_HEAD: Final = Struct("!BBH").pack

# The grammars of RFC 6455 section 4.3. What is quoted has to be a token once it is not. What has matched is kept (++,
# *+): there is nothing else that it could be.
_CHARACTER: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_TOKEN: Final = rf"{_CHARACTER}++"
_VALUE: Final = rf"(?:{_TOKEN}|\"(?:\\?{_CHARACTER})++\")"
_PROTOCOL: Final = re.compile(_TOKEN)
_EXTENSION: Final = re.compile(rf"{_TOKEN}(?:[ \t]*+;[ \t]*+{_TOKEN}(?:[ \t]*+=[ \t]*+{_VALUE})?+)*+")


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

    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013


class Message(NamedTuple):
    """A complete text or binary message, or a control frame."""

    opcode: Opcode
    payload: bytes


def accept_value(key: str) -> str:
    """The Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2)."""
    return b2a_base64(sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest(), newline=False).decode()


def check_upgrade(request: Request) -> None:
    """Check an upgrade request (RFC 6455 section 4.2.1).

    Raises RequestRejected: 400 for what is missing or wrong, 405, 426 for another version.
    """
    if request.method != "GET":
        raise RequestRejected(405, "bad_upgrade", "an upgrade must be a GET")
    if request.version < (1, 1):
        raise RequestRejected(400, "bad_upgrade", "an upgrade needs HTTP/1.1")
    field = request.headers.get
    _check_lists(
        field("upgrade", ""),
        field("connection", ""),
        field("sec-websocket-version"),
        field("sec-websocket-protocol"),
        field("sec-websocket-extensions"),
    )
    key = field("sec-websocket-key", "")
    try:
        valid = len(a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        raise RequestRejected(400, "bad_upgrade", "Sec-WebSocket-Key must be 16 bytes in base64")
    if has_body(request):
        raise RequestRejected(400, "bad_upgrade", "an upgrade must not have a body")


@lru_cache(KNOWN_LISTS)
def _check_lists(
    upgrade: str, connection: str, version: str | None, protocols: str | None, extensions: str | None
) -> None:
    """Raise RequestRejected for fields with which nobody can be upgraded; those that are good are remembered."""
    if not (_names(upgrade, "websocket") and _names(connection, "upgrade")):
        detail = "this URL is a WebSocket: the headers Upgrade and Connection are missing"
        raise RequestRejected(400, "bad_upgrade", detail)
    if version != VERSION:
        raise RequestRejected(426, "websocket_version", "only WebSocket version 13 is supported")
    if not _is_list(protocols, _PROTOCOL):
        raise RequestRejected(400, "bad_upgrade", "sec-websocket-protocol is malformed")
    if not _is_list(extensions, _EXTENSION):
        raise RequestRejected(400, "bad_upgrade", "sec-websocket-extensions is malformed")


def _names(value: str, token: str) -> bool:
    """Whether a list of tokens, which mean the same in any case, names this one."""
    return token in map(str.lower, elements(value))


def _is_list(value: str | None, grammar: re.Pattern[str]) -> bool:
    if value is None:
        return True
    found = elements(value)
    return bool(found) and all(grammar.fullmatch(element) for element in found)


def handshake(request: Request, subprotocol: str | None, date: str) -> bytes:
    """The response that accepts a checked upgrade request (RFC 6455 section 4.2.2), without extensions, at this date.

    Raises RequestRejected (400) when the client does not offer the subprotocol. None speaks no subprotocol.
    """
    chosen = ""
    if subprotocol is not None:
        if subprotocol not in request.elements("sec-websocket-protocol"):
            raise RequestRejected(400, "subprotocol", f"offer the subprotocol {subprotocol} (RFC 8887 section 4.1)")
        chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    accept = accept_value(request.headers["sec-websocket-key"])
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\nDate: {date}\r\n{chosen}\r\n"
    ).encode("ascii")


def _head(opcode: Opcode, size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 65536:
        return _MEDIUM_HEAD(0x80 | opcode, 126, size)
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


_TEXT_HEADS: Final = [_head(Opcode.TEXT, size) for size in range(512)]
"""Most texts are short, and making a head would cost as much as encoding what is behind it."""


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """An unmasked final frame, as a server sends it."""
    return _head(opcode, len(payload)) + payload


def text_frames(payloads: Iterable[bytes]) -> list[bytes]:
    """An unmasked final frame for each text."""
    heads, many = _TEXT_HEADS, len(_TEXT_HEADS)
    return [
        heads[size] + payload if (size := len(payload)) < many else frame(Opcode.TEXT, payload) for payload in payloads
    ]


def may_be_sent(code: int) -> bool:
    """Whether a close frame may carry the code: not 1004 to 1006 and 1015, and nothing unassigned below 3000."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code < 5000


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what a control frame holds, on a character boundary.

    Raises ValueError for a code that only describes how a connection ended.
    """
    if not may_be_sent(code):
        raise ValueError(f"close code {code} is never sent")
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + text)


def close_reply(payload: bytes) -> tuple[int, bytes]:
    """The code a peer closed with, and the frame that answers it (RFC 6455 sections 5.5.1, 7.4).

    Raises ConnectionFailed for a malformed close.
    """
    if not payload:
        return CloseCode.NO_STATUS, frame(Opcode.CLOSE, b"")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ConnectionFailed(CloseCode.INVALID_PAYLOAD, "invalid_utf8", "close reason is not UTF-8") from None
    code = int.from_bytes(payload[:2], "big")
    # One byte is not two that make a code: it is below 1000, whatever it is.
    if not may_be_sent(code):
        raise ConnectionFailed(CloseCode.PROTOCOL_ERROR, "protocol_error", "the close code must not be sent")
    return code, frame(Opcode.CLOSE, payload[:2])
