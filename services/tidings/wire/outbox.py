"""A row of an outbox as an event, whoever brings it: Tidings' own columns, and those of Debezium's outbox. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidings.errors import EventError
from tidings.wire import jsonbody
from tidings.wire.event_model import TYPE_PREFIX

COLUMNS: Final = {"subject": "account", "data.changed": "changed"}
"""What a row calls the members of an event."""


def event_of(row: Mapping[str, object], *, event_id: object, source: object, time: object = None) -> dict[str, object]:
    """The event that a row tells: decoded JSON, of which nothing is checked yet.

    `account`, or else `aggregateid`, is the account; `type` may lack its prefix; `changed`, or else the member of that
    name of `payload`, are the states. Where JSON is text, as Debezium sends it, it is decoded.
    """
    kind = row.get("type")
    changed = _json(row.get("changed"))
    if changed is None:
        payload = _json(row.get("payload"))
        changed = payload.get("changed") if isinstance(payload, Mapping) else None
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": TYPE_PREFIX + kind if isinstance(kind, str) and not kind.startswith(TYPE_PREFIX) else kind,
        "subject": row.get("aggregateid") if row.get("account") is None else row["account"],
        "time": time,
        "data": None if changed is None else {"changed": changed},
    }


def _json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return jsonbody.decode(value.encode("utf-8", "surrogatepass"))
    except EventError:
        # Refused as what it is: no object.
        return value
