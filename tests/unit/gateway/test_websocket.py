from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Frame
from websockets.frames import Opcode as OracleOpcode
from websockets.streams import StreamReader

from tidings.errors import ConnectionFailed, RequestRejected
from tidings.gateway import websocket
from tidings.gateway.http1 import Request
from tidings.gateway.websocket import Decoder, Message, Opcode

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def upgrade(method: str = "GET", version: tuple[int, int] = (1, 1), **changes: str | None) -> Request:
    headers = {
        "host": "localhost",
        "upgrade": "WebSocket",
        "connection": "keep-alive, Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
        "sec-websocket-protocol": "other, jmap",
    }
    for name, value in changes.items():
        field = name.replace("_", "-")
        if value is None:
            del headers[field]
        else:
            headers[field] = value
    return Request(method, "/jmap/ws", {}, headers, version, 0)


def masked(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((fin << 7 | opcode,)) + length + mask + body


def failure(*data: bytes, max_message: int = 1000) -> int:
    decoder = Decoder(max_message)
    with pytest.raises(ConnectionFailed) as caught:
        [message for piece in data for message in decoder.feed(piece)]
    return caught.value.code


def test_accepts_the_rfc_example() -> None:
    websocket.check_upgrade(upgrade())
    response = websocket.handshake(upgrade(), "jmap")
    assert response.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response
    assert b"Sec-WebSocket-Protocol: jmap\r\n" in response


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (upgrade(method="POST"), 405),
        (upgrade(version=(1, 0)), 400),
        (upgrade(upgrade=None), 400),
        (upgrade(connection="close"), 400),
        (upgrade(sec_websocket_version="8"), 426),
        (upgrade(sec_websocket_version=None), 426),
        (upgrade(sec_websocket_key=None), 400),
        (upgrade(sec_websocket_key="dGhlIHNhbXBsZSBub25j"), 400),
        (upgrade(sec_websocket_key="!" * 24), 400),
        (upgrade(sec_websocket_key="\xe9" * 24), 400),
        (upgrade(content_length="5"), 400),
        (upgrade(transfer_encoding="chunked"), 400),
    ],
)
def test_rejects_an_upgrade(request_: Request, code: int) -> None:
    with pytest.raises(RequestRejected) as caught:
        websocket.check_upgrade(request_)
    assert caught.value.code == code


@pytest.mark.parametrize("offered", ["chat", "JMAP", None])
def test_a_client_must_offer_jmap(offered: str | None) -> None:
    with pytest.raises(RequestRejected):
        websocket.handshake(upgrade(sec_websocket_protocol=offered), "jmap")


@given(st.binary(max_size=300), st.sampled_from([0, 125, 126, 65535, 65536]), st.data())
def test_any_split_decodes_to_what_was_sent(payload: bytes, padding: int, data: st.DataObject) -> None:
    payload += b"x" * padding
    stream = masked(Opcode.BINARY, payload, fin=False) + masked(Opcode.PING, b"hi") + masked(0, b"end")
    cut = data.draw(st.integers(0, len(stream)))
    decoder = Decoder(100_000)
    messages = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:])]
    assert messages == [Message(Opcode.PING, b"hi"), Message(Opcode.BINARY, payload + b"end")]
    assert decoder.idle


@given(st.binary(max_size=64), st.integers(0, 255), st.integers(0, 255))
def test_agrees_with_an_independent_parser(rest: bytes, first: int, second: int) -> None:
    stream = bytes((first, second)) + rest
    reader = StreamReader()
    reader.feed_data(stream)
    parser = Frame.parse(reader.read_exact, mask=True)
    try:
        next(parser)
    except StopIteration as stop:
        parsed = stop.value
    except (ProtocolError, UnicodeDecodeError):
        parsed = "invalid"
    else:
        parsed = None
    decoder = Decoder(10**9)
    try:
        got = next(decoder.feed(stream), None)
    except ConnectionFailed:
        # The oracle reads one frame; fragment order, minimal lengths and UTF-8 are checked above it.
        if isinstance(parsed, Frame):
            fragment = parsed.opcode is OracleOpcode.CONT
            length = 126 if second & 0x7F == 126 else 65536
            padded = second & 0x7F >= 126 and len(parsed.data) < length
            assert fragment or padded or parsed.opcode is OracleOpcode.TEXT
        return
    if isinstance(got, Message):
        assert isinstance(parsed, Frame)
        assert (got.opcode, got.payload) == (int(parsed.opcode), bytes(parsed.data))
    else:
        assert parsed is None or isinstance(parsed, Frame) or len(stream) < 14


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(Opcode.TEXT, b"x")[:1] + b"\x01x", 1002),
        (b"\xc1\x80", 1002),
        (b"\x83\x80", 1002),
        (masked(Opcode.PING, b"x" * 126), 1002),
        (masked(Opcode.PING, b"", fin=False), 1002),
        (masked(Opcode.CONTINUATION, b""), 1002),
        (masked(Opcode.TEXT, b"a", fin=False) + masked(Opcode.TEXT, b"b"), 1002),
        (b"\x81\xfe\x00\x05", 1002),
        (b"\x81\xff" + (5).to_bytes(8, "big"), 1002),
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big"), 1002),
        (masked(Opcode.TEXT, b"\xff"), 1007),
        (masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONTINUATION, b"x", fin=False), 1007),
        (masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONTINUATION, b""), 1007),
        (masked(Opcode.TEXT, b"x" * 1001), 1009),
        (masked(Opcode.TEXT, b"x" * 600, fin=False) + masked(Opcode.CONTINUATION, b"x" * 600), 1009),
    ],
)
def test_fails_with_the_close_code_of_the_rfc(data: bytes, code: int) -> None:
    assert failure(data) == code
    assert failure(*(data[at : at + 1] for at in range(len(data)))) == code


def test_text_in_fragments_may_split_a_character() -> None:
    euro = "€".encode()
    decoder = Decoder(100)
    stream = masked(1, euro[:1], fin=False) + masked(0, euro[1:2], fin=False) + masked(0, euro[2:])
    assert list(decoder.feed(stream)) == [Message(Opcode.TEXT, euro)]


def test_messages_before_a_fault_are_heard() -> None:
    messages = Decoder(100).feed(masked(Opcode.TEXT, b"ok") + b"\x83\x80")
    assert next(messages) == Message(Opcode.TEXT, b"ok")
    with pytest.raises(ConnectionFailed):
        next(messages)


def test_an_unfinished_frame_is_not_idle() -> None:
    decoder = Decoder(100)
    assert decoder.idle
    assert list(decoder.feed(b"\x81")) == []
    assert list(decoder.feed(b"\xfe\x01")) == []
    assert (decoder.idle, list(decoder.feed(b""))) == (False, [])


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_are_read_by_an_independent_parser(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(websocket.frame(Opcode.TEXT, b"x" * size))
    parser = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as stop:
        next(parser)
    assert stop.value.value == Frame(OracleOpcode.TEXT, b"x" * size)


def test_a_close_reason_is_cut_on_a_character_boundary() -> None:
    payload = websocket.close_frame(1008, "é" * 100)[2:]
    assert len(payload) <= 125
    assert payload[2:].decode() == "é" * 61


@pytest.mark.parametrize(
    ("payload", "code"), [(b"", 1005), (b"\x03\xe8bye", 1000), (b"\x0b\xb8", 3000), (b"\x03\xf4", 1012)]
)
def test_a_close_is_answered_with_its_code(payload: bytes, code: int) -> None:
    assert websocket.close_reply(payload) == (code, websocket.frame(Opcode.CLOSE, payload[:2]))


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x03\xec", 1002), (b"\x13\x88", 1002), (b"\x03\xe8\xff", 1007)],
)
def test_a_malformed_close_fails(payload: bytes, code: int) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        websocket.close_reply(payload)
    assert caught.value.code == code
