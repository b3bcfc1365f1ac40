"""Polls and their answers."""

from __future__ import annotations

import json

import pytest

from tests.support.requests import request_of
from tidings.errors import RequestRejected
from tidings.gateway.codecs import poll
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.codecs.poll import Asked

DATE = "Sun, 29 Nov 2026 10:00:00 GMT"


def date() -> str:
    return DATE


def request(query: str = "", *fields: str) -> Request:
    return request_of(f"/jmap/changes?{query}", *fields)


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
    (answer,) = poll.encoder({}, date, conditional=conditional, bodyless=False)([told], "AUA")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.decode().split()[1] == status
    assert b'\r\nETag: "AUA"' in head
    assert b"\r\nCache-Control: no-store, no-transform\r\n" in head
    assert f"\r\nDate: {DATE}\r\n".encode() in head
    if status == "304":
        assert body == b""
    else:
        assert json.loads(body) == {"@type": "StateChange", "changed": told, "pushState": "AUA"}


def test_an_answer_has_the_fields_that_are_asked_for() -> None:
    encode = poll.encoder({"Vary": "Origin"}, date, conditional=True, bodyless=False)
    assert b"\r\nVary: Origin\r\n" in encode([{}], "AUA")[0]


def test_a_head_is_answered_like_a_get_without_the_body() -> None:
    told = {"alice": {"Email": "s"}}
    (whole,) = poll.encoder({}, date, conditional=False, bodyless=False)([told], "AUA")
    (head,) = poll.encoder({}, date, conditional=False, bodyless=True)([told], "AUA")
    assert head == whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_an_answer_has_the_date_of_when_it_is_made() -> None:
    days = iter(("Sat, 28 Nov 2026 10:00:00 GMT", DATE))
    encode = poll.encoder({}, lambda: next(days), conditional=True, bodyless=False)
    assert [f"Date: {DATE}".encode() in encode([{}], "AUA")[0] for _ in range(2)] == [False, True]
