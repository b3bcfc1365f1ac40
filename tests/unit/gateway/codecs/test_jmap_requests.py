from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.codecs.jmap_requests import answer_message, failure, request_body


def told(status: int, body: object, request_id: str | None = "R1") -> dict[str, Any]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = json.loads(answer_message(status, payload, request_id))
    assert isinstance(message, dict)
    return message


def test_a_request_is_over_http_what_it_is_but_for_its_name() -> None:
    members = {"@type": b'"Request"', "id": b'"R1"', "using": b'["a"]', "methodCalls": b"[1.10]", "createdIds": b"{}"}
    body = request_body({name: msgspec.Raw(value) for name, value in members.items()})
    assert body == b'{"using":["a"],"methodCalls":[1.10],"createdIds":{}}'


def test_an_answer_is_a_response_to_the_request() -> None:
    answer = {"methodResponses": [["Core/echo", {}, "c1"]], "sessionState": "s1", "createdIds": {}}
    assert told(200, answer) == {**answer, "@type": "Response", "requestId": "R1"}
    assert told(200, answer, None) == {**answer, "@type": "Response"}
    assert told(200, {**answer, "@type": "X", "requestId": "Y"}) == {**answer, "@type": "Response", "requestId": "R1"}


def test_an_error_of_the_api_stays_its_own() -> None:
    problem = {"type": "urn:ietf:params:jmap:error:limit", "status": 400, "limit": "maxCallsInRequest"}
    assert told(400, problem) == {**problem, "@type": "RequestError", "requestId": "R1"}
    assert told(413, {"type": "about:blank"})["status"] == 413


@pytest.mark.parametrize("body", [b"", b"<html>", [], {}, {"type": "x", "detail": "y" * 2_000}, b"\xff"])
def test_an_error_that_is_no_problem_document_is_its_status(body: object) -> None:
    error = {"@type": "RequestError", "requestId": "R1", "type": "about:blank"}
    assert told(503, body) == {**error, "status": 503, "detail": "the JMAP server answers 503"}


@pytest.mark.parametrize("body", [b"", b"<html>", [], {}, b"[" * 100_000])
def test_what_is_no_response_is_a_fault_of_the_server(body: object) -> None:
    assert told(200, body)["status"] == 502


def test_a_failure_without_a_request_id_names_none() -> None:
    assert json.loads(failure(504, "late", None)) == {
        "@type": "RequestError",
        "type": "about:blank",
        "status": 504,
        "detail": "late",
    }


@given(st.integers(100, 599), st.binary(), st.none() | st.text())
def test_whatever_is_answered_the_client_is_told_something(status: int, body: bytes, request_id: str | None) -> None:
    message = json.loads(answer_message(status, body, request_id))
    assert message["@type"] in ("Response", "RequestError")
    assert message.get("requestId") == request_id
