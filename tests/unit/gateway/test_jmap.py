from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway import jmap
from tidings.gateway.jmap import PushDisable, PushEnable, Reply


def read(message: object) -> PushEnable | PushDisable | Reply:
    return jmap.read_message(json.dumps(message).encode(), "s0")


def reply(payload: bytes) -> dict[str, Any]:
    answer = jmap.read_message(payload, "s0")
    assert isinstance(answer, Reply)
    members = json.loads(answer.payload)
    assert isinstance(members, dict)
    assert answer.failed == (members["@type"] == "RequestError")
    return members


def error(message: object) -> str:
    members = reply(json.dumps(message).encode())
    assert members["@type"] == "RequestError"
    assert members["status"] == 400
    kind = members["type"]
    assert isinstance(kind, str)
    return kind.rpartition(":")[2]


def test_a_state_change_is_the_rfcs() -> None:
    payload = jmap.state_change({"a456": {"Mailbox": "d35ecb040aab"}}, "bbb")
    assert json.loads(payload) == {
        "@type": "StateChange",
        "changed": {"a456": {"Mailbox": "d35ecb040aab"}},
        "pushState": "bbb",
    }


def test_many_state_changes_are_those_that_each_is_by_itself() -> None:
    changes: list[jmap.Changed] = [
        {"alice": {"Email": "two\nlines\u2028"}},
        {},
        {"bob": {"Mailbox": "1"}, "eve": {"Email": "2"}},
    ]
    assert jmap.state_changes(changes, "bbb") == [jmap.state_change(changed, "bbb") for changed in changes]
    assert jmap.state_changes([], "bbb") == []


def test_push_enable_and_disable() -> None:
    enable = {"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox", "Email"], "pushState": "aaa"}
    assert read(enable) == PushEnable(frozenset({"Mailbox", "Email"}), "aaa")
    assert read({"@type": "WebSocketPushEnable", "dataTypes": None}) == PushEnable(None, None)
    assert read({"@type": "WebSocketPushEnable"}) == PushEnable(None, None)
    assert read({"@type": "WebSocketPushDisable"}) == PushDisable()


def test_core_echo_is_echoed_and_other_methods_are_unknown() -> None:
    arguments = {"hello": [1, 2.5, None, {"deep": "ü"}]}
    calls = [["Core/echo", arguments, "c1"], ["Email/get", {}, "c2"]]
    request = {"@type": "Request", "id": "R1", "using": ["urn:ietf:params:jmap:core", "x"], "methodCalls": calls}
    members = reply(json.dumps(request).encode())
    assert members["requestId"] == "R1"
    assert members["sessionState"] == "s0"
    assert members["methodResponses"][0] == ["Core/echo", arguments, "c1"]
    assert members["methodResponses"][1][0] == "error"
    assert members["methodResponses"][1][1]["type"] == "unknownMethod"
    assert members["methodResponses"][1][2] == "c2"


def test_a_request_without_an_id_gets_a_response_without_one() -> None:
    members = reply(b'{"@type":"Request","using":[],"methodCalls":[]}')
    assert "requestId" not in members
    assert members["methodResponses"] == []


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ([], "notRequest"),
        ({}, "notRequest"),
        ({"@type": "Nonsense", "id": "R1"}, "notRequest"),
        ({"@type": 5}, "notRequest"),
        ({"@type": "Request", "id": 5}, "notRequest"),
        ({"@type": "Request", "methodCalls": []}, "notRequest"),
        ({"@type": "Request", "using": [1], "methodCalls": []}, "notRequest"),
        ({"@type": "Request", "using": []}, "notRequest"),
        ({"@type": "Request", "using": [], "methodCalls": [["Core/echo", {}]]}, "notRequest"),
        ({"@type": "Request", "using": [], "methodCalls": [["Core/echo", [], "c1"]]}, "notRequest"),
        ({"@type": "Request", "using": [], "methodCalls": [["Core/echo", {}, "c"]] * 17}, "limit"),
        ({"@type": "WebSocketPushEnable", "dataTypes": "Email"}, "notRequest"),
        ({"@type": "WebSocketPushEnable", "dataTypes": [1]}, "notRequest"),
        ({"@type": "WebSocketPushEnable", "dataTypes": ["no type"]}, "notRequest"),
        ({"@type": "WebSocketPushEnable", "dataTypes": [f"T{n}" for n in range(65)]}, "notRequest"),
        ({"@type": "WebSocketPushEnable", "pushState": 7}, "notRequest"),
    ],
)
def test_what_is_no_request_gets_a_request_error(message: object, kind: str) -> None:
    assert error(message) == kind


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff",
        b'{"@type":"\\ud800"}',
        b'{"@type":1e999}',
        b'{"@type":"Request","id":1e999}',
        b'{"@type":{]}',
        b"[" * 100_000,
        b'{"@type":' * 50_000,
    ],
)
def test_what_is_no_json_gets_a_request_error(payload: bytes) -> None:
    assert reply(payload)["type"] == "urn:ietf:params:jmap:error:notJSON"


def test_the_error_names_the_request() -> None:
    assert reply(b'{"@type":"Nonsense","id":"R2"}')["requestId"] == "R2"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_arbitrary_messages_never_raise(payload: bytes) -> None:
    assert isinstance(jmap.read_message(payload, "s0"), PushEnable | PushDisable | Reply)
