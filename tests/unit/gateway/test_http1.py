from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import RequestRejected
from tidings.gateway import http1

HEAD = b"GET /jmap/ws?account=alice HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\r\n"


def rejected(data: bytes) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        http1.parse_request(data)
    return caught.value


def test_reads_a_head_and_says_where_it_ends() -> None:
    request = http1.parse_request(HEAD + b"behind")
    assert request is not None
    assert (request.method, request.path, request.version) == ("GET", "/jmap/ws", (1, 1))
    assert request.query == {"account": "alice"}
    assert request.tokens("connection") == ["keep-alive", "upgrade"]
    assert request.tokens("absent") == []
    assert request.size == len(HEAD)


@given(st.integers(0, len(HEAD) - 1))
def test_any_beginning_of_a_head_is_incomplete(cut: int) -> None:
    assert http1.parse_request(HEAD[:cut]) is None


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_incomplete_or_rejected_or_a_request(data: bytes) -> None:
    try:
        request = http1.parse_request(data)
    except RequestRejected as error:
        code = error.code
    else:
        code = 400 if request is None or request.size <= len(data) else 0
    assert code in (400, 431, 505)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"nonsense\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@x\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x:http\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.11\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\rHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / http/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /#top HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET ?account=a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET page HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://user@x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http:///jmap/ws HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET /?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /?" + b"a=1&" * 60 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 16384 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 16384, 431),
    ],
)
def test_rejects(head: bytes, code: int) -> None:
    assert rejected(head).code == code


@pytest.mark.parametrize("host", ["localhost", "mail.example:8080", "[::1]:80", "127.0.0.1", "x:"])
def test_takes_any_valid_host(host: str) -> None:
    request = http1.parse_request(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert request is not None
    assert request.headers["host"] == host


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("HTTP://mail.example:81/jmap/ws?account=a", "/jmap/ws", {"account": "a"}),
        ("https://mail.example:81?account=a", "/", {"account": "a"}),
    ],
)
def test_an_absolute_target_names_the_host(target: str, path: str, query: dict[str, str]) -> None:
    request = http1.parse_request(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert request is not None
    assert (request.path, request.query) == (path, query)
    assert request.headers["host"] == "mail.example:81"


def test_an_empty_line_before_the_head_is_ignored() -> None:
    assert http1.parse_request(b"\r\n") is None
    request = http1.parse_request(b"\r\n" + HEAD + b"behind")
    assert request is not None
    assert (request.path, request.size) == ("/jmap/ws", 2 + len(HEAD))


def test_the_elements_of_a_list_are_apart_by_comma_and_only_ascii_space_is_trimmed() -> None:
    request = http1.parse_request(b"GET / HTTP/1.0\r\nA: x ,\t, Y\r\na: \xa0z\r\n\r\n")
    assert request is not None
    assert request.elements("a") == ["x", "Y", "\xa0z"]
    assert request.tokens("a") == ["x", "y", "\xa0z"]


def test_repeated_fields_are_joined() -> None:
    request = http1.parse_request(b"GET / HTTP/1.0\r\nA: 1\r\na: 2\r\nCookie: x=1\r\nCookie: y=2\r\n\r\n")
    assert request is not None
    assert request.headers == {"a": "1, 2", "cookie": "x=1; y=2"}


def test_a_rejection_is_problem_json_and_ends_the_connection() -> None:
    answer = http1.rejection(RequestRejected(401, "no_token", 'a "token" is required'))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"WWW-Authenticate: Bearer" in head
    assert b"Connection: close" in head
    assert b"Content-Length: %d" % len(body) in head
    assert body.endswith(b'"detail":"a \\"token\\" is required"}')


@pytest.mark.parametrize(("status", "length"), [(200, True), (204, False), (304, False)])
def test_only_answers_that_can_have_a_body_have_a_length(status: int, length: bool) -> None:
    assert (b"Content-Length: 0\r\n" in http1.response(status)) == length


def test_an_overload_says_when_to_come_back() -> None:
    answer = http1.rejection(RequestRejected(503, "full", "full", 7), {"Vary": "Origin"})
    assert b"\r\nRetry-After: 7\r\n" in answer
    assert b"\r\nVary: Origin\r\n" in answer


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", None),
    ],
)
def test_a_plain_get_is_a_get_without_a_body(head: bytes, code: int | None) -> None:
    request = http1.parse_request(head)
    assert request is not None
    if code is None:
        http1.check_get(request)
        return
    with pytest.raises(RequestRejected) as caught:
        http1.check_get(request)
    assert caught.value.code == code


def test_a_wrong_version_or_method_names_the_right_one() -> None:
    assert b"Sec-WebSocket-Version: 13" in http1.rejection(RequestRejected(426, "websocket_version", ""))
    assert b"Allow: GET" in http1.rejection(RequestRejected(405, "bad_upgrade", ""))
    assert b"Sec-WebSocket-Version" not in http1.rejection(RequestRejected(400, "malformed_head", ""))
