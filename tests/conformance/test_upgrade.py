"""Upgrade requests on a socket: RFC 6455 section 4.2.1 and the HTTP/1.1 (RFC 9112) that it stands on."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from tests.conformance.peer import KEY, TEXT, UPGRADE, connected
from tests.support.frames import masked

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def changed(**fields: str | None) -> bytes:
    """The usual request with fields replaced, added, or left out where None; underscores are hyphens."""
    lines = UPGRADE.decode().split("\r\n")
    for name, value in fields.items():
        field = name.replace("_", "-")
        lines = [line for line in lines if not line.startswith(f"{field}:")]
        if value is not None:
            lines.insert(1, f"{field}: {value}")
    return "\r\n".join(lines).encode()


def with_line(line: str) -> bytes:
    return UPGRADE.replace(b"\r\n", f"\r\n{line}\r\n".encode("latin-1"), 1)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(UPGRADE, id="plain"),
        pytest.param(changed(Upgrade="WebSocket"), id="any case"),
        pytest.param(changed(Connection="keep-alive,UPGRADE"), id="a list"),
        pytest.param(with_line("Connection: keep-alive"), id="a list over two lines"),
        pytest.param(changed(Upgrade="h2c, websocket"), id="a choice"),
        pytest.param(changed(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"), id="extension"),
        pytest.param(changed(Sec_WebSocket_Protocol="chat, superchat"), id="subprotocols"),
        pytest.param(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.2"), id="later version"),
        pytest.param(UPGRADE.replace(b"GET /", b"GET http://localhost/chat?x"), id="absolute"),
        pytest.param(
            UPGRADE.lower().replace(b"get / http", b"GET / HTTP").replace(KEY.lower().encode(), KEY.encode()),
            id="lower case",
        ),
        pytest.param(UPGRADE.replace(b": ", b":"), id="no space"),
        pytest.param(
            UPGRADE.replace(b": ", b": \t ")
            .replace(b"\r\n", b" \t\r\n")[: -len(b" \t\r\n")]
            .replace(b"HTTP/1.1 \t", b"HTTP/1.1")
            + b"\r\n",
            id="spaces",
        ),
        pytest.param(b"\r\n" + UPGRADE, id="empty line before"),
        pytest.param(changed(Transfer_Encoding="chunked") + b"0\r\n\r\n", id="empty chunked body"),
    ],
)
def test_is_accepted(request_: bytes, port: int) -> None:
    with connected(port) as peer:
        peer.send([request_, masked(TEXT, b"at once")])
        head = peer.head()
        assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:-2])}
        # Every answer has a date (RFC 9110 section 6.6.1).
        assert parsedate_to_datetime(fields.pop("date"))
        # No extension and no subprotocol that was not asked for, whatever was offered.
        assert fields == {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": ACCEPT}
        assert peer.frame() == (TEXT, b"at once")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(UPGRADE.replace(b"GET", b"POST"), 405, id="method"),
        pytest.param(UPGRADE.replace(b"GET", b"get"), 405, id="method's case"),
        pytest.param(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), 400, id="old version"),
        pytest.param(UPGRADE.replace(b"HTTP/1.1", b"HTTP/2.0"), 505, id="new version"),
        pytest.param(UPGRADE.replace(b"GET /", b"GET /#a"), 400, id="fragment identifier"),
        pytest.param(changed(Host=None), 400, id="no Host"),
        pytest.param(with_line("Host: localhost"), 400, id="two Hosts"),
        pytest.param(changed(Host="local host"), 400, id="no host"),
        pytest.param(changed(Upgrade=None), 400, id="no Upgrade"),
        pytest.param(changed(Upgrade="websockets"), 400, id="another Upgrade"),
        pytest.param(changed(Connection=None), 400, id="no Connection"),
        pytest.param(changed(Connection="close"), 400, id="another Connection"),
        pytest.param(changed(Sec_WebSocket_Version=None), 426, id="no version"),
        pytest.param(changed(Sec_WebSocket_Version="8"), 426, id="version 8"),
        pytest.param(changed(Sec_WebSocket_Version="13, 8"), 426, id="two versions"),
        pytest.param(with_line("Sec-WebSocket-Version: 13"), 400, id="version twice"),
        pytest.param(changed(Sec_WebSocket_Key=None), 400, id="no key"),
        pytest.param(changed(Sec_WebSocket_Key="dGhlIHNhbXBsZQ=="), 400, id="short key"),
        pytest.param(changed(Sec_WebSocket_Key=KEY[:-1]), 400, id="key without padding"),
        pytest.param(changed(Sec_WebSocket_Key=KEY.replace("I", "_")), 400, id="key in another alphabet"),
        pytest.param(with_line(f"Sec-WebSocket-Key: {KEY}"), 400, id="key twice"),
        pytest.param(changed(Sec_WebSocket_Protocol="a b"), 400, id="no token"),
        pytest.param(changed(Sec_WebSocket_Extensions="a; b=c d"), 400, id="no extension"),
        pytest.param(changed(Content_Length="1"), 400, id="body"),
        pytest.param(changed(Transfer_Encoding="chunked") + b"1\r\na\r\n0\r\n\r\n", 400, id="chunked body"),
        pytest.param(with_line("X: folded\r\n value"), 400, id="folded"),
        pytest.param(with_line("X : y"), 400, id="space before the colon"),
        pytest.param(with_line(": y"), 400, id="no name"),
        pytest.param(with_line("X: a\rb"), 400, id="bare CR"),
        pytest.param(with_line("X: a\nb: c"), 400, id="bare LF"),
        pytest.param(with_line("X: a\0b"), 400, id="NUL"),
        pytest.param(with_line("\xe9: y"), 400, id="name not ASCII"),
        pytest.param(UPGRADE.replace(b"\r\n", b"\n"), 400, id="LF alone"),
        pytest.param(b" " + UPGRADE, 400, id="space before"),
    ],
)
def test_is_refused(request_: bytes, status: int, port: int) -> None:
    with connected(port) as peer:
        peer.send([request_])
        head = peer.head()
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert ("sec-websocket-version: 13\r\n" in head.lower()) == (status == 426)
