from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.codecs import jmap
from tidings.gateway.codecs.jmap import ApiRequest, PushDisable, PushEnable, Reply

ACCOUNTS = ("user@mail.example",)


def read(message: object, *, proxied: bool = False) -> PushEnable | PushDisable | ApiRequest | Reply:
    return jmap.read_message(json.dumps(message).encode(), ACCOUNTS, proxied=proxied)


def reply(payload: bytes) -> dict[str, Any]:
    answer = jmap.read_message(payload, ACCOUNTS)
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


def test_a_push_enable_that_says_twice_what_it_is_is_refused() -> None:
    members = reply(b'{"@type":"WebSocketPushDisable","@type":"WebSocketPushEnable"}')
    assert (members["@type"], members["detail"]) == ("RequestError", "@type is given twice")


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
    assert read({"@type": "WebSocketPushEnable", "pushStatus": True}) == PushEnable(None, None, push_status=True)
    named = {**enable, "pushStatus": True}
    assert read(named) == PushEnable(frozenset({"Mailbox", "Email"}), "aaa", push_status=True)
    assert read({"@type": "WebSocketPushDisable"}) == PushDisable()


def test_core_echo_is_echoed_and_other_methods_are_unknown() -> None:
    arguments = {"hello": [1, 2.5, None, {"deep": "ü"}]}
    calls = [["Core/echo", arguments, "c1"], ["Email/get", {}, "c2"]]
    request = {"@type": "Request", "id": "R1", "using": [jmap.CORE, jmap.WEBSOCKET], "methodCalls": calls}
    members = reply(json.dumps(request).encode())
    assert members["requestId"] == "R1"
    assert members["sessionState"] == jmap.session_state(ACCOUNTS)
    assert members["methodResponses"][0] == ["Core/echo", arguments, "c1"]
    assert members["methodResponses"][1][0] == "error"
    assert members["methodResponses"][1][1]["type"] == "unknownMethod"
    assert members["methodResponses"][1][2] == "c2"


def test_a_request_without_an_id_gets_a_response_without_one() -> None:
    members = reply(b'{"@type":"Request","using":[],"methodCalls":[]}')
    assert "requestId" not in members
    assert members["methodResponses"] == []


@pytest.mark.parametrize("name", ["urn:ietf:params:jmap:mail", "https://example.com/apis/nope", "", "x" * 60_000])
def test_a_capability_that_the_session_does_not_offer_is_unknown(name: str) -> None:
    """RFC 8620 section 3.6.1."""
    request = {"@type": "Request", "id": "R1", "using": [jmap.CORE, name], "methodCalls": [["Core/echo", {}, "c1"]]}
    members = reply(json.dumps(request).encode())
    assert members["type"] == "urn:ietf:params:jmap:error:unknownCapability"
    assert (members["requestId"], members["status"]) == ("R1", 400)
    assert name[:50] in members["detail"]
    assert len(members["detail"]) < 300


@pytest.mark.parametrize("created", [{}, {"k1": "id1", "k2": "id2"}])
def test_created_ids_come_back(created: dict[str, str]) -> None:
    """RFC 8620 section 3.4."""
    request = {"@type": "Request", "using": [jmap.CORE], "methodCalls": [], "createdIds": created}
    assert reply(json.dumps(request).encode())["createdIds"] == created
    assert "createdIds" not in reply(b'{"@type":"Request","using":[],"methodCalls":[],"createdIds":null}')


def test_a_result_reference_is_not_taken_for_an_argument() -> None:
    """RFC 8620 section 3.7."""
    calls = [
        ["Core/echo", {"x": [1, 2]}, "a"],
        ["Core/echo", {"#y": {"resultOf": "a", "name": "Core/echo", "path": "/x"}}, "b"],
    ]
    request = {"@type": "Request", "using": [jmap.CORE], "methodCalls": calls}
    first, second = reply(json.dumps(request).encode())["methodResponses"]
    assert first == calls[0]
    assert (second[0], second[1]["type"], second[2]) == ("error", "invalidResultReference", "b")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ([], "notRequest"),
        ({"@type": "Request", "using": [], "methodCalls": [], "createdIds": []}, "notRequest"),
        ({"@type": "Request", "using": [], "methodCalls": [], "createdIds": {"a": 1}}, "notRequest"),
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
        ({"@type": "WebSocketPushEnable", "pushStatus": "yes"}, "notRequest"),
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
    assert isinstance(jmap.read_message(payload, ACCOUNTS), PushEnable | PushDisable | Reply)


def test_a_request_that_an_api_answers_is_judged_by_nobody_else() -> None:
    request = {"@type": "Request", "id": "R1", "using": ["urn:example:any"], "methodCalls": "any"}
    asked = read(request, proxied=True)
    assert isinstance(asked, ApiRequest)
    assert asked.id == "R1"
    assert json.loads(asked.body) == {"using": ["urn:example:any"], "methodCalls": "any"}


def test_whatever_else_is_said_means_the_same_where_an_api_answers() -> None:
    messages: tuple[object, ...] = (
        {"@type": "WebSocketPushEnable", "dataTypes": ["Email"]},
        {"@type": "WebSocketPushDisable"},
        {"@type": "Request", "id": 1},
        {"@type": "Other"},
        [],
    )
    for message in messages:
        assert read(message, proxied=True) == read(message)


def test_the_state_of_a_session_changes_with_its_accounts() -> None:
    state = jmap.session_state(("alice", "team"))
    assert state == jmap.session_state(("alice", "team"))
    assert len({state, jmap.session_state(("alice",)), jmap.session_state(("team", "alice"))}) == 3
