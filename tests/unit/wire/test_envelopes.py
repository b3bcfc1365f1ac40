"""Events as Knative, Dapr and Debezium send them: see tests/recorded/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidings.errors import EventError
from tidings.wire.change import Change
from tidings.wire.cloudevents import STRUCTURED, parse
from tidings.wire.envelopes import opened

RECORDED = Path(__file__).parents[2] / "recorded"
ID = "c6f1f0a2-4a87-4a52-9f0e-2f8b6a3c9d11"
STATES = {"Email": "s1042"}


def http(name: str) -> list[Change]:
    """What a recorded request tells."""
    head, _, body = (RECORDED / name).read_bytes().partition(b"\r\n\r\n")
    fields = [line.partition(": ")[::2] for line in head.decode().split("\r\n")[1:]]
    return parse(fields, body, 7.0)


def structured(event: object) -> list[Change]:
    return parse([("content-type", STRUCTURED)], json.dumps(event).encode(), 7.0)


def recorded(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((RECORDED / name).read_text())
    return found


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_knative(mode: str) -> None:
    changed = {"Email": "s1042", "Mailbox": None}
    assert http(f"knative-{mode}.http") == [
        Change("alice", changed, "MessageNew", ID, "/mailstore/store-3", 1795514400.25, 7.0)
    ]


def test_dapr_carries_an_event() -> None:
    (change,) = structured(recorded("dapr-cloudevent.json"))
    assert (change.account, change.event, change.changed) == ("alice", "MessageNew", STATES)
    assert (change.id, change.source) == ("c6f1f0a2", "/mailstore/store-3")


def test_dapr_wraps_data() -> None:
    (change,) = structured(recorded("dapr-data.json"))
    assert (change.account, change.event, change.changed) == ("alice", "MessageNew", STATES)
    assert (change.id, change.source) == (ID, "mailstore")


@pytest.mark.parametrize("with_schema", [True, False])
def test_debezium_sends_a_row_that_was_added(with_schema: bool) -> None:
    event = recorded("debezium-outbox.json")
    if not with_schema:
        event["data"] = event["data"]["payload"]  # type: ignore[index]
    assert structured(event) == [
        Change(
            "alice",
            dict(STATES),
            "MessageNew",
            "name:mail;lsn:29274832;txId:565",
            "/debezium/postgresql/mail",
            1795514400.25,
            7.0,
        )
    ]


@pytest.mark.parametrize("operation", ["d", "u", "t"])
def test_that_a_row_has_gone_tells_nothing(operation: str) -> None:
    event = {**recorded("debezium-outbox.json"), "iodebeziumop": operation}
    assert structured(event) == []
    headers = [("ce-iodebeziumop", operation), ("ce-type", "io.debezium.connector.postgresql.DataChangeEvent")]
    assert parse([*headers, ("content-type", "application/json")], b"{}", 7.0) == []


def test_debezium_s_own_columns() -> None:
    row = {"aggregateid": "bob", "type": "mail.FlagsSet", "payload": '{"changed": {"Email": "s1"}}'}
    event = {**recorded("debezium-outbox.json"), "data": {"after": row}}
    (change,) = structured(event)
    assert (change.account, change.event, change.changed) == ("bob", "FlagsSet", {"Email": "s1"})


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"data": None}, "type"),
        ({"data": {"after": None}}, "type"),
        ({"data": {"payload": 1}}, "type"),
        ({"data": {"after": {}}}, "type"),
        ({"data": {"after": {"type": "FlagsSet"}}}, "subject"),
        ({"data": {"after": {"account": "a", "type": "FlagsSet", "changed": "{"}}}, "data.changed"),
        ({"type": "com.dapr.event.sent", "data": "text"}, "type"),
    ],
)
def test_what_holds_no_row_is_refused(members: dict[str, object], field: str) -> None:
    with pytest.raises(EventError) as error:
        structured({**recorded("debezium-outbox.json"), **members})
    assert error.value.status == 422
    assert field in [problem.field for problem in error.value.problems]


@pytest.mark.parametrize("event", [None, 1, [], {}, {"type": 1}, {"type": "mail.MessageNew"}])
def test_everything_else_is_left_as_it_is(event: object) -> None:
    assert opened(event) is event
