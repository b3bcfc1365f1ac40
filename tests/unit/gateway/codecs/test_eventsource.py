"""The event stream's requests and events."""

from __future__ import annotations

import json

import pytest

from tests.support.requests import request_of
from tidings.errors import RequestRejected
from tidings.gateway.codecs import eventsource
from tidings.gateway.codecs.eventsource import Asked
from tidings.gateway.codecs.http1 import Request

DATE = "Sun, 29 Nov 2026 10:00:00 GMT"


def request(query: str = "", *fields: str) -> Request:
    return request_of(f"/jmap/eventsource?{query}", *fields)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", Asked(None, once=False, ping=0, since=None)),
        ("types=*&closeafter=no&ping=0", Asked(None, once=False, ping=0, since=None)),
        ("types=Email,Mailbox", Asked(frozenset({"Email", "Mailbox"}), once=False, ping=0, since=None)),
        ("closeafter=state", Asked(None, once=True, ping=0, since=None)),
        ("status=yes", Asked(None, once=False, ping=0, since=None, status=True)),
        ("status=no", Asked(None, once=False, ping=0, since=None)),
        ("ping=1", Asked(None, once=False, ping=30, since=None)),
        ("ping=45", Asked(None, once=False, ping=45, since=None)),
        ("ping=999999999", Asked(None, once=False, ping=300, since=None)),
    ],
)
def test_reads_what_the_url_template_gives(query: str, asked: Asked) -> None:
    assert eventsource.read_request(request(query)) == asked


def test_the_last_event_id_is_the_cursor() -> None:
    assert eventsource.read_request(request("", "Last-Event-ID: AUA")).since == "AUA"
    assert eventsource.read_request(request("", "Last-Event-ID:")).since is None


def test_a_status_is_an_event_that_moves_no_cursor() -> None:
    assert eventsource.status(stalled=True) == b'event: status\ndata: {"@type":"PushStatus","stalled":true}\n\n'
    changes = [{"alice": {"Email": "1"}}]
    assert eventsource.encode_with_status(changes, "c") == eventsource.encode(changes, "c")


def test_where_no_header_can_be_set_the_cursor_is_in_the_query() -> None:
    assert eventsource.read_request(request("lastEventId=AUA")).since == "AUA"
    assert eventsource.read_request(request("lastEventId=AUA", "Last-Event-ID:")).since == "AUA"
    assert eventsource.read_request(request("lastEventId=older", "Last-Event-ID: AUA")).since == "AUA"
    assert eventsource.read_request(request("lastEventId=")).since is None


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("types=", "types"),
        ("types=Email,,Mailbox", "types"),
        ("types=Email%0d", "types"),
        ("types=" + ",".join(f"T{number}" for number in range(65)), "types"),
        ("closeafter=never", "closeafter"),
        ("status=maybe", "status"),
        ("ping=-1", "ping"),
        ("ping=often", "ping"),
        ("ping=%C2%B2", "ping"),
        ("ping=9999999999", "ping"),
    ],
)
def test_says_what_is_wrong(query: str, named: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        eventsource.read_request(request(query))
    assert caught.value.code == 400
    assert named in caught.value.detail


def test_a_state_event_carries_a_state_change_and_the_cursor_as_its_id() -> None:
    (event,) = (event.decode() for event in eventsource.encode([{"alice": {"Email": "line\nbreak"}}], "AUA"))
    lines = event.split("\n")
    assert lines[:2] == ["event: state", "id: AUA"]
    assert json.loads(lines[2].removeprefix("data: ")) == {
        "@type": "StateChange",
        "changed": {"alice": {"Email": "line\nbreak"}},
    }
    assert lines[3:] == ["", ""]


def test_where_nothing_changed_the_cursor_comes_in_an_event_of_its_own_with_data() -> None:
    """Clients that ignore an event without data would forget its id."""
    event = 'event: cursor\nid: AUA\ndata: {"@type":"StateChange","changed":{}}\n\n'
    assert eventsource.encode([{}, {}], "AUA") == [event.encode()] * 2


def test_a_ping_names_its_interval_and_has_no_id() -> None:
    assert eventsource.ping(30) == b'event: ping\ndata: {"interval":30}\n\n'


def test_a_retry_comes_with_data_too_and_no_id() -> None:
    event = 'event: retry\nretry: 1500\ndata: {"@type":"StateChange","changed":{}}\n\n'
    assert eventsource.retry(1500) == event.encode()


def test_the_answer_is_not_to_be_stored_nor_buffered() -> None:
    head = eventsource.opening({"Vary": "Origin"}, DATE).decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    for field in (
        "Content-Type: text/event-stream; charset=utf-8",
        "Cache-Control: no-store, no-transform",
        f"Date: {DATE}",
        "X-Accel-Buffering: no",
        "Vary: Origin",
    ):
        assert f"\r\n{field}\r\n" in head
    assert "Content-Length" not in head
