"""Events inside events: what programs that carry or watch others' data send as CloudEvents of their own. Pure.

Knative carries events as they are. So does Dapr, unless a program gives it plain data: then that is the `data` of an
event of Dapr's. Debezium sends each row that a table got as an event of its own. Data and row are rows of an outbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidings.wire import outbox

DAPR_TYPE: Final = "com.dapr.event.sent"
DEBEZIUM_PREFIX: Final = "io.debezium."
OPERATION: Final = "iodebeziumop"
ATTRIBUTES: Final = frozenset({OPERATION})
"""The context attributes that are read here, beside those of any event."""
_ADDED: Final = (None, "c", "r")
"""Rows that were inserted, or read when Debezium began. Others are those that Tidings or somebody else has changed."""


def opened(event: object) -> object:
    """The event inside of one, or itself; None for one that tells nothing, such as that a row is gone."""
    if not isinstance(event, Mapping):
        return event
    kind = event.get("type")
    if not isinstance(kind, str):
        return event
    if kind == DAPR_TYPE:
        return _of_row(event, event.get("data"))
    if kind.startswith(DEBEZIUM_PREFIX):
        if event.get(OPERATION) not in _ADDED:
            return None
        data = event.get("data")
        # With or without the schema of the row beside it.
        payload = data.get("payload", data) if isinstance(data, Mapping) else None
        return _of_row(event, payload.get("after") if isinstance(payload, Mapping) else None)
    return event


def _of_row(event: Mapping[str, object], row: object) -> object:
    """Of what is no row the event is left as it is, to be refused as one of a type that is not known."""
    if not isinstance(row, Mapping):
        return event
    return outbox.event_of(row, event_id=event.get("id"), source=event.get("source"), time=event.get("time"))
