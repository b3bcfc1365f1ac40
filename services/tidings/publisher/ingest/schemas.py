"""The schemas of the OpenAPI document of the ingest port: of what requests are read with, and of answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from tidings.errors import Problem
from tidings.wire import envelopes, resyncs, stalwart
from tidings.wire.dovecot import Notification
from tidings.wire.event_model import Event

_REFERENCE: Final = "#/components/schemas/{model}"


def reference(name: str) -> dict[str, str]:
    """A reference to a schema of the document."""
    return {"$ref": _REFERENCE.format(model=name)}


@dataclass
class Accepted:
    """The number of events of the request that are safe."""

    accepted: int


@dataclass
class ProblemDocument:
    """The reason for a refusal (RFC 9457). `problems` lists what is wrong in which event."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    problems: list[Problem] = field(default_factory=list)


_CARRIED: Final[dict[str, Any]] = {
    "title": "CarriedEvent",
    "description": "An event of Dapr or Debezium that carries a row of an outbox.",
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {
            "type": "string",
            "pattern": f"^({envelopes.DAPR_TYPE}$|{envelopes.DEBEZIUM_PREFIX})".replace(".", "[.]"),
        }
    },
}
_ANY_EVENT: Final[dict[str, Any]] = {"title": "AnyEvent", "anyOf": [reference("Event"), reference("CarriedEvent")]}
_STALWART: Final[dict[str, Any]] = {
    "title": "StalwartEvents",
    "type": "object",
    "required": ["events"],
    "properties": {
        "events": {
            "type": "array",
            "maxItems": stalwart.MAX_EVENTS,
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {
                    "id": {"type": ["string", "integer"]},
                    "createdAt": {"type": "string", "format": "date-time"},
                    "type": {"type": "string", "examples": sorted(stalwart.EVENTS)},
                    "data": {
                        "type": "object",
                        "properties": {"accountId": {"type": ["integer", "string"]}},
                    },
                },
            },
        }
    },
}
"""Stalwart's events are read without a model: most of them are of no interest."""
_BY_HAND: Final = (_ANY_EVENT, _CARRIED, _STALWART)
"""Schemas of what is read without a model, each with its name as the title."""


def schemas() -> dict[str, JsonSchemaValue]:
    """The schemas that operations refer to, by name."""
    adapters: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        (name, "validation", TypeAdapter(model))
        for name, model in (
            ("Event", Event),
            ("Resync", resyncs.Resync),
            ("Accepted", Accepted),
            ("ProblemDocument", ProblemDocument),
        )
    ]
    _, made = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCE)
    _, structs = msgspec.json.schema_components([Notification], ref_template=_REFERENCE.replace("model", "name"))
    found = {**made["$defs"], **structs, **{schema["title"]: schema for schema in _BY_HAND}}
    return {name: found[name] for name in sorted(found)}
