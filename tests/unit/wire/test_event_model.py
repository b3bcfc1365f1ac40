"""What tools are told of an event is what is taken."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from tidings.wire.change import Change
from tidings.wire.event_model import EVENT
from tidings.wire.mailevent import read

SCHEMA = Draft202012Validator(EVENT.json_schema())
NEW = {"specversion": "1.0", "id": "1", "source": "/test", "type": "mail.MessageNew", "subject": "alice"}
TAKEN: list[tuple[str, object]] = [
    ("id", "i" * 1024),
    ("subject", "a" * 255),
    ("subject", "zoë@mail.example"),
    ("type", "mail.messagenew"),
    ("time", "2026-01-31T09:30:00.125+01:00"),
    ("time", None),
    ("data", None),
    ("data", {}),
    ("data", {"subject": "of a mail"}),
    ("data", {"changed": {"Email": "s" * 255, "x.y:z-1_": None}}),
    ("anything", {"else": 1}),
]
REFUSED: list[tuple[str, object]] = [
    ("specversion", "1.1"),
    ("id", ""),
    ("id", 7),
    ("id", "i" * 1025),
    ("source", "a\nb"),
    ("subject", "a/b"),
    ("subject", "a" * 256),
    ("type", "MessageNew"),
    ("type", "mail.1"),
    ("time", 1769848200),
    ("time", "2026-01-31T09:30:00." + "1" * 64 + "Z"),
    ("data", {"changed": {}}),
    ("data", {"changed": []}),
    ("data", {"changed": {"Email": ""}}),
    ("data", {"changed": {"Email": 1}}),
    ("data", {"changed": {"a b": None}}),
    ("data", {"changed": {"T" * 65: None}}),
    ("data", {"changed": {f"T{number}": None for number in range(33)}}),
]


@pytest.mark.parametrize(("member", "value"), TAKEN)
def test_what_is_allowed_is_taken(member: str, value: object) -> None:
    event = {**NEW, member: value}
    assert SCHEMA.is_valid(event)
    assert isinstance(read(0, event, 0.0), Change)


@pytest.mark.parametrize(("member", "value"), REFUSED)
def test_what_is_not_allowed_is_refused(member: str, value: object) -> None:
    event = {**NEW, member: value}
    assert not SCHEMA.is_valid(event)
    assert not isinstance(read(0, event, 0.0), Change)


@pytest.mark.parametrize("member", NEW)
def test_what_is_required_is_said_to_be(member: str) -> None:
    event = {name: value for name, value in NEW.items() if name != member}
    assert not SCHEMA.is_valid(event)
    assert not isinstance(read(0, event, 0.0), Change)
