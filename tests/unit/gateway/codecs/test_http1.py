from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import RequestRejected
from tidings.gateway.codecs import http1

DATE = "Sun, 29 Nov 2026 10:00:00 GMT"
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
    assert request.elements("connection") == ["keep-alive", "Upgrade"]
    assert request.elements("absent") == []
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
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;" + b"x" * 16384, 431),
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


def test_repeated_fields_are_joined() -> None:
    request = http1.parse_request(b"GET / HTTP/1.0\r\nA: 1\r\na: 2\r\nCookie: x=1\r\nCookie: y=2\r\n\r\n")
    assert request is not None
    assert request.headers == {"a": "1, 2", "cookie": "x=1; y=2"}


CHUNKED = b"%s /jmap/changes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"


@pytest.mark.parametrize("body", [b"0\r\n\r\n", b"000\r\n\r\n", b"0;why=not\r\n\r\n", b"0 ;a\r\n\r\n"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_an_empty_chunked_body_is_none(method: bytes, body: bytes) -> None:
    whole = CHUNKED % method + body
    assert [http1.parse_request(whole[:-cut]) for cut in range(1, len(body) + 1)] == [None] * len(body)
    request = http1.parse_request(whole + b"behind")
    assert request is not None
    assert request.size == len(whole)
    http1.check_get(request)


@pytest.mark.parametrize(
    "body", [b"1", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"\r\n", b"x", b"0x0\r\n\r\n"]
)
def test_any_other_chunked_body_is_one(body: bytes) -> None:
    request = http1.parse_request(CHUNKED % b"GET" + body)
    assert request is not None
    with pytest.raises(RequestRejected) as caught:
        http1.check_get(request)
    assert (caught.value.code, caught.value.reason) == (400, "unexpected_body")


def test_a_body_is_waited_for_only_where_it_may_be_empty() -> None:
    request = http1.parse_request(CHUNKED % b"POST")
    assert request is not None
    assert http1.has_body(request)


@given(st.binary(max_size=200), st.integers(0, 20))
def test_what_comes_in_pieces_is_read_as_what_comes_at_once(tail: bytes, cut: int) -> None:
    whole = HEAD[: len(HEAD) - cut] + tail

    def outcome(pieces: list[int]) -> object:
        known = 0
        for size in pieces:
            try:
                request = http1.parse_request(whole[:size], known=known)
            except RequestRejected as error:
                return error.detail
            if request is not None:
                return request
            known = size
        return None

    assert outcome(list(range(1, len(whole) + 1))) == outcome([len(whole)])


@pytest.mark.parametrize(
    ("start", "bodyless"), [(b"HEAD /", True), (b"\r\nHEAD /", True), (b"HEADS /", False), (b"", False)]
)
def test_a_malformed_head_may_still_say_that_its_answer_has_no_body(start: bytes, bodyless: bool) -> None:
    assert http1.is_bodyless(start) == bodyless
    answer = http1.rejection(RequestRejected(400, "", "x"), date=DATE, bodyless=bodyless)
    assert b"\r\nContent-Length: " in answer
    assert answer.endswith(b"\r\n\r\n") == bodyless


def test_a_rejection_is_problem_json_and_ends_the_connection() -> None:
    answer = http1.rejection(RequestRejected(401, "no_token", 'a "token" is required'), date=DATE)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"WWW-Authenticate: Bearer" in head
    assert b"Connection: close" in head
    assert f"\r\nDate: {DATE}\r\n".encode() in head + b"\r\n"
    assert b"\r\nCache-Control: no-store, no-transform\r\n" in head
    assert b"Content-Length: %d" % len(body) in head
    assert body.endswith(b'"detail":"a \\"token\\" is required"}')


@pytest.mark.parametrize(("status", "length"), [(200, True), (204, False), (304, False)])
def test_only_answers_that_can_have_a_body_have_a_length(status: int, length: bool) -> None:
    assert (b"Content-Length: 0\r\n" in http1.response(status, date=DATE)) == length


def test_an_overload_says_when_to_come_back() -> None:
    answer = http1.rejection(RequestRejected(503, "full", "full", 7), {"Vary": "Origin"}, date=DATE)
    assert b"\r\nRetry-After: 7\r\n" in answer
    assert b"\r\nVary: Origin\r\n" in answer


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", None),
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
    assert b"Sec-WebSocket-Version: 13" in http1.rejection(RequestRejected(426, "websocket_version", ""), date=DATE)
    assert b"Allow: GET\r\n" in http1.rejection(RequestRejected(405, "bad_upgrade", ""), date=DATE)
    assert b"Allow: GET, HEAD\r\n" in http1.rejection(RequestRejected(405, "bad_method", ""), date=DATE)
    assert b"Sec-WebSocket-Version" not in http1.rejection(RequestRejected(400, "malformed_head", ""), date=DATE)
