from __future__ import annotations

from typing import Any

import pytest
from websockets.frames import Frame
from websockets.frames import Opcode as OracleOpcode
from websockets.streams import StreamReader

from tidings.errors import ConnectionFailed, RequestRejected
from tidings.gateway.codecs import websocket
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.codecs.websocket import Opcode

DATE = "Sun, 29 Nov 2026 10:00:00 GMT"
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


def test_accepts_the_rfc_example() -> None:
    websocket.check_upgrade(upgrade())
    response = websocket.handshake(upgrade(), "jmap", DATE)
    assert response.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response
    assert b"Sec-WebSocket-Protocol: jmap\r\n" in response
    assert f"\r\nDate: {DATE}\r\n".encode() in response


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
        (upgrade(sec_websocket_key=KEY + ", " + KEY), 400),
        (upgrade(sec_websocket_version="013"), 426),
        (upgrade(upgrade="\xa0websocket"), 400),
        (upgrade(upgrade="websockets"), 400),
        (upgrade(sec_websocket_protocol="jmap, a b"), 400),
        (upgrade(sec_websocket_protocol=","), 400),
        (upgrade(sec_websocket_extensions=""), 400),
        (upgrade(sec_websocket_extensions="permessage-deflate; =1"), 400),
        (upgrade(sec_websocket_extensions='x; y=""'), 400),
        (upgrade(sec_websocket_extensions="x" * 8000 + '; y="' + "z" * 8000), 400),
        (upgrade(content_length="5"), 400),
        (upgrade(transfer_encoding="chunked"), 400),
    ],
)
def test_rejects_an_upgrade(request_: Request, code: int) -> None:
    with pytest.raises(RequestRejected) as caught:
        websocket.check_upgrade(request_)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": "h2c ,\tWEBSOCKET"},
        {"connection": ",upgrade,,"},
        {"version": (1, 2)},
        {"content_length": "0"},
        {"sec_websocket_protocol": "a,, jmap ,"},
        {"sec_websocket_protocol": None},
        {"sec_websocket_extensions": 'permessage-deflate; client_max_window_bits, x-y ; a = 1;b="\\c", z'},
    ],
)
def test_accepts_what_the_grammars_allow(changes: dict[str, Any]) -> None:
    websocket.check_upgrade(upgrade(**changes))


def test_without_a_subprotocol_none_is_named() -> None:
    response = websocket.handshake(upgrade(), None, DATE)
    assert b"Sec-WebSocket-Protocol" not in response
    assert response.endswith(b" GMT\r\n\r\n")
    assert b"Protocol:" not in response


@pytest.mark.parametrize("offered", ["chat", "JMAP", None])
def test_a_client_must_offer_jmap(offered: str | None) -> None:
    with pytest.raises(RequestRejected):
        websocket.handshake(upgrade(sec_websocket_protocol=offered), "jmap", DATE)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_are_read_by_an_independent_parser(size: int) -> None:
    reader = StreamReader()
    assert websocket.text_frames([b"x" * size]) == [websocket.frame(Opcode.TEXT, b"x" * size)]
    reader.feed_data(websocket.frame(Opcode.TEXT, b"x" * size))
    parser = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as stop:
        next(parser)
    assert stop.value.value == Frame(OracleOpcode.TEXT, b"x" * size)


def test_a_close_reason_is_cut_on_a_character_boundary() -> None:
    payload = websocket.close_frame(1008, "é" * 100)[2:]
    assert len(payload) <= 125
    assert payload[2:].decode() == "é" * 61


IMPOSSIBLE = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
POSSIBLE = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]


@pytest.mark.parametrize("code", POSSIBLE)
def test_a_close_is_answered_with_its_code(code: int) -> None:
    said = code.to_bytes(2, "big")
    assert websocket.close_reply(said + "bye, é".encode()) == (code, websocket.frame(Opcode.CLOSE, said))
    assert websocket.close_frame(code)[2:] == said


def test_a_close_without_a_code_is_answered_without_one() -> None:
    assert websocket.close_reply(b"") == (1005, b"\x88\x00")


@pytest.mark.parametrize("code", IMPOSSIBLE)
def test_impossible_codes_are_neither_taken_nor_sent(code: int) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        websocket.close_reply(code.to_bytes(2, "big") + b"bye")
    assert caught.value.code == 1002
    with pytest.raises(ValueError, match=str(code)):
        websocket.close_frame(code)


@pytest.mark.parametrize(("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xc3", 1007)])
def test_a_malformed_close_fails(payload: bytes, code: int) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        websocket.close_reply(payload)
    assert caught.value.code == code
