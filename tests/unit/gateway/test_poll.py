"""Polls and their answers."""

from __future__ import annotations

import json

import pytest

from tidings.errors import RequestRejected
from tidings.gateway import http1, poll
from tidings.gateway.http1 import Request
from tidings.gateway.poll import Asked


def request(query: str = "", *fields: str) -> Request:
    lines = "".join(f"{field}\r\n" for field in ("Host: a", *fields))
    read = http1.parse_request(f"GET /jmap/changes?{query} HTTP/1.1\r\n{lines}\r\n".encode())
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("query", "fields", "asked"),
    [
        ("", [], Asked(None, None, 0)),
        ("since=AUA&types=Email", [], Asked(frozenset({"Email"}), "AUA", 0)),
        ("since=", [], Asked(None, None, 0)),
        ("since=AUA&wait=60", [], Asked(None, "AUA", 60)),
        ("wait=100000", [], Asked(None, None, 300)),
        ("", ['If-None-Match: "AUA"'], Asked(None, "AUA", 0)),
        ("", ['If-None-Match: W/"AUA"'], Asked(None, "AUA", 0)),
        ("since=old", ['If-None-Match: "AUA", "older"'], Asked(None, "AUA", 0)),
        ("since=AUA", ["If-None-Match: *"], Asked(None, "AUA", 0)),
        ("", ["If-None-Match: AUA"], Asked(None, None, 0)),
        ("", ['If-None-Match: ""'], Asked(None, None, 0)),
    ],
)
def test_reads_the_query_and_the_condition(query: str, fields: list[str], asked: Asked) -> None:
    assert poll.read_request(request(query, *fields)) == asked


@pytest.mark.parametrize(("query", "named"), [("wait=-1", "wait"), ("wait=a", "wait"), ("types=1", "types")])
def test_says_what_is_wrong(query: str, named: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        poll.read_request(request(query))
    assert caught.value.code == 400
    assert named in caught.value.detail


@pytest.mark.parametrize(
    ("conditional", "changed", "status"),
    [(True, False, "304"), (True, True, "200"), (False, False, "200"), (False, True, "200")],
)
def test_answers_304_only_to_who_named_a_cursor_and_missed_nothing(
    conditional: bool, changed: bool, status: str
) -> None:
    told = {"alice": {"Email": "s"}} if changed else {}
    (answer,) = poll.encoder((), conditional=conditional)([told], "AUA")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.decode().split()[1] == status
    assert b'\r\nETag: "AUA"' in head
    assert b"\r\nCache-Control: no-store" in head
    if status == "304":
        assert body == b""
    else:
        assert json.loads(body) == {"@type": "StateChange", "changed": told, "pushState": "AUA"}


def test_equal_answers_are_encoded_by_one_encoder() -> None:
    fields = (("Vary", "Origin"),)
    assert poll.encoder(fields, conditional=True) is poll.encoder(fields, conditional=True)
    assert b"\r\nVary: Origin\r\n" in poll.encoder(fields, conditional=True)([{}], "AUA")[0]
