from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import EventError, Problem
from tidings.wire.change import Change
from tidings.wire.cloudevents import BATCHED, MAX_EVENTS, MAX_PROBLEMS, STRUCTURED, parse
from tidings.wire.jsonbody import MAX_NESTED
from tidings.wire.tracecontext import context_of

NEW = {
    "specversion": "1.0",
    "id": "42",
    "source": "/dovecot/imap1",
    "type": "mail.MessageNew",
    "subject": "alice@example.test",
}
CHANGE = Change(
    "alice@example.test",
    {"Email": None, "Mailbox": None, "Thread": None, "EmailDelivery": None},
    "MessageNew",
    "42",
    "/dovecot/imap1",
    None,
    7.0,
)
CE = [(f"Ce-{name.title()}", value) for name, value in NEW.items()]


def take(content_type: str | None, body: object, *headers: tuple[str, str]) -> list[Change]:
    fields = [] if content_type is None else [("Content-Type", content_type)]
    return parse([*fields, *headers], body if isinstance(body, bytes) else json.dumps(body).encode(), 7.0)


def refused(content_type: str | None, body: object, *headers: tuple[str, str]) -> EventError:
    with pytest.raises(EventError) as caught:
        take(content_type, body, *headers)
    assert str(caught.value) == caught.value.detail
    return caught.value


def status(content_type: str, body: bytes, *headers: tuple[str, str]) -> int:
    try:
        take(content_type, body, *headers)
    except EventError as error:
        return error.status
    return 202


@pytest.mark.parametrize(
    "content_type",
    [STRUCTURED, STRUCTURED.upper(), f" {STRUCTURED} ; charset=UTF-8", f'{STRUCTURED};x=y;charset="utf-8"'],
)
def test_structured_mode(content_type: str) -> None:
    assert take(content_type, NEW) == [CHANGE]


def test_batched_mode_keeps_the_order() -> None:
    events = [{**NEW, "id": str(number)} for number in range(5)]
    assert [change.id for change in take(BATCHED, events)] == ["0", "1", "2", "3", "4"]


def test_an_empty_batch_is_a_batch() -> None:
    assert take(BATCHED, []) == []


def test_binary_mode_without_data() -> None:
    assert take(None, b"", *CE) == [CHANGE]
    assert take("text/plain", b"", *CE) == [CHANGE]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/a.b+json"]
)
def test_binary_mode_with_data(content_type: str) -> None:
    (change,) = take(content_type, {"changed": {"Email": "s1"}}, *CE)
    assert change.changed == {"Email": "s1"}


def test_binary_mode_reads_attributes_only_from_ce_headers() -> None:
    time = ("Time", "not a time"), ("Subject", "mallory"), ("ce-extension", "\xe9")
    assert take("application/json", b"", *time, *CE) == [CHANGE]


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("alice%40example.test", "alice@example.test"),
        ("zo%C3%AB", "zoë"),
        ("%f0%9f%98%80", "\N{GRINNING FACE}"),
        ("100%", "100%"),
        ("%2541", "%41"),
        ('"two words"', "two words"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ('"quoted%20once"', "quoted once"),
        ('half"', 'half"'),
    ],
)
def test_binary_attribute_values_are_unquoted_then_percent_decoded(value: str, subject: str) -> None:
    (change,) = take(None, b"", *CE[:-1], ("ce-subject", value))
    assert change.account == subject


@pytest.mark.parametrize("value", ["zo\xeb", "%C0%A0", "%ff", "%ED%A0%80", "tab\tbed"])
def test_binary_attribute_values_are_printable_ascii_and_utf_8(value: str) -> None:
    error = refused(None, b"", *CE[:-1], ("ce-subject", value))
    assert error.status == 422
    assert [(problem.event, problem.field) for problem in error.problems] == [(0, "subject")]


def test_binary_mode_names_what_is_missing() -> None:
    error = refused(None, b"", *CE[:2])
    assert error.problems == tuple(Problem(0, name, "is required") for name in ("source", "type", "subject"))


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        (None, []),
        ("", []),
        ("text/plain", []),
        ("application/json", []),
        ("application/cloudevents", CE),
        ("application/cloudevents+xml", CE),
        ("application/cloudevents-batch+avro", []),
        (f"{STRUCTURED}; charset=latin-1", []),
        (None, CE),
        ("text/plain", CE),
        ("application/json; charset=utf-16", CE),
        (STRUCTURED, [("content-encoding", "gzip")]),
    ],
)
def test_another_content_type_is_415(content_type: str | None, headers: list[tuple[str, str]]) -> None:
    assert refused(content_type, NEW, *headers).status == 415


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b" ", "the body is not JSON: Expecting value at line 1 column 2"),
        (b'{"id":\n', "the body is not JSON: Expecting value at line 2 column 1"),
        (b"\xef\xbb\xbf{}", "the body is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1 column 1"),
        (b'{"id": "\xff"}', "the body is not UTF-8 at byte 8"),
        (json.dumps(NEW).encode("utf-16"), "the body is not UTF-8 at byte 0"),
        (b'{"id": "1", "id": "2"}', "the body is not JSON: a member occurs twice in one object"),
        (b'{"data": {"a": 1, "a": 1}}', "the body is not JSON: a member occurs twice in one object"),
        (b'{"data": NaN}', "the body is not JSON: NaN is not a JSON value"),
        (b'{"data": -Infinity}', "the body is not JSON: -Infinity is not a JSON value"),
        (b'{"data": ' + b"1" * 5000 + b"}", "the body holds a number of too many digits"),
        (b'{"data": ' + b"[" * 100_000, "the body is nested too deep"),
        (b'{"a":' * 100_000, "the body is nested too deep"),
    ],
)
def test_malformed_json_is_400(body: bytes, detail: str) -> None:
    for content_type, headers in ((STRUCTURED, []), (BATCHED, []), ("application/json", CE)):
        error = refused(content_type, body, *headers)
        assert (error.status, error.detail) == (400, detail)


def test_doubled_and_misplaced_headers_are_400() -> None:
    assert refused(STRUCTURED, NEW, ("content-type", STRUCTURED)).status == 400
    assert refused(None, b"", *CE, ("ce-subject", "bob")).status == 400
    assert refused("application/json", b"", *CE, ("ce-datacontenttype", "application/json")).status == 400


def test_a_batch_is_an_array() -> None:
    assert refused(BATCHED, NEW).status == 422


def test_structured_mode_is_one_object() -> None:
    for body in ([NEW], None):
        assert refused(STRUCTURED, body).problems == (Problem(0, "", "must be a JSON object"),)


def test_a_null_among_others_is_refused() -> None:
    assert refused(BATCHED, [NEW, None]).problems == (Problem(1, "", "must be a JSON object"),)


def test_more_events_than_a_request_may_have_is_413() -> None:
    assert len(take(BATCHED, [NEW] * MAX_EVENTS)) == MAX_EVENTS
    assert refused(BATCHED, [NEW] * (MAX_EVENTS + 1)).status == 413


def test_more_objects_and_arrays_than_a_request_may_have_is_400_before_it_is_decoded() -> None:
    detail = "the body holds more than 128000 objects and arrays"
    for opening in (b"{", b"["):
        for content_type, headers in ((STRUCTURED, []), (BATCHED, []), ("application/json", CE)):
            assert refused(content_type, opening * (MAX_NESTED + 1), *headers).detail == detail
    (change,) = take(STRUCTURED, {**NEW, "data": {"changed": {"Email": "s"}, "other": [{}] * (MAX_NESTED - 10)}})
    assert change.changed == {"Email": "s"}


def test_one_bad_event_refuses_all_and_every_bad_one_is_named() -> None:
    error = refused(BATCHED, [NEW, {**NEW, "subject": ""}, NEW, {**NEW, "type": "mail.Logout"}])
    assert error.status == 422
    assert [(problem.event, problem.field) for problem in error.problems] == [(1, "subject"), (3, "data.changed")]


def test_the_list_of_problems_is_bounded() -> None:
    assert len(refused(BATCHED, [{}] * MAX_EVENTS).problems) == MAX_PROBLEMS


def test_lone_surrogates_are_a_problem_and_no_crash() -> None:
    error = refused(
        STRUCTURED, b'{"specversion":"1.0","id":"\\ud800","source":"s","type":"mail.MessageNew","subject":"\\udfff"}'
    )
    assert [problem.field for problem in error.problems] == ["id", "subject"]


@given(st.binary(max_size=200), st.sampled_from([STRUCTURED, BATCHED, "application/json"]))
def test_any_body_is_taken_or_refused(body: bytes, content_type: str) -> None:
    assert status(content_type, body, *CE) in (202, 400, 415, 422)


@given(
    st.text(
        st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1
    ).filter(lambda text: len(text.encode()) <= 255)
)
def test_structured_and_binary_mode_mean_the_same(account: str) -> None:
    structured = take(STRUCTURED, {**NEW, "subject": account})
    assert structured[0].account == account
    assert take(None, b"", *CE[:-1], ("ce-subject", quote(account, safe=""))) == structured


@given(st.text(), st.text(st.characters(codec="latin-1")))
def test_any_header_value_is_taken_or_refused(content_type: str, value: str) -> None:
    assert status(content_type, b"", *CE[:-1], ("ce-subject", value)) in (202, 400, 415, 422)


CONTEXT = bytes(range(24))
TRACEPARENT = f"00-{CONTEXT[:16].hex()}-{CONTEXT[16:].hex()}-01"


def contexts(content_type: str, body: object, *headers: tuple[str, str]) -> list[bytes | None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [("Content-Type", content_type), *headers]
    return [context_of(change) for change in parse(fields, content, 7.0, traced=True)]


def test_the_trace_of_an_event_is_that_of_its_change() -> None:
    event = {**NEW, "traceparent": TRACEPARENT}
    assert contexts(STRUCTURED, event) == [CONTEXT]
    assert contexts(BATCHED, [event, NEW, {**NEW, "traceparent": 7}]) == [CONTEXT, None, None]
    assert contexts("application/json", b"{}", *CE, ("Ce-Traceparent", TRACEPARENT)) == [CONTEXT]
    assert contexts("application/json", b"{}", *CE, ("Ce-Traceparent", "\xff%%")) == [None]


def test_where_nobody_traces_the_trace_of_an_event_is_not_read() -> None:
    assert take(STRUCTURED, {**NEW, "traceparent": TRACEPARENT}) == [CHANGE]
    assert type(take(STRUCTURED, {**NEW, "traceparent": TRACEPARENT})[0]) is Change


def test_the_trace_of_an_event_in_an_event_of_daprs() -> None:
    row = {"account": "alice", "type": "MessageNew"}
    event = {**NEW, "type": "com.dapr.event.sent", "data": row, "traceparent": TRACEPARENT}
    assert contexts(STRUCTURED, event) == [CONTEXT]
