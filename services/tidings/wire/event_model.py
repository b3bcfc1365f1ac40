"""The event as a model: what each member that Tidings reads has to be, and how tools are told of it. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tidings.wire.change import (
    DATA_TYPE_PATTERN,
    MAX_ACCOUNT_BYTES,
    MAX_DATA_TYPE_BYTES,
    MAX_DATA_TYPES,
    MAX_NAME_BYTES,
    MAX_STATE_BYTES,
    account_fault,
    data_type_fault,
    event_name,
    state_fault,
    text_fault,
)

TYPE_PREFIX: Final = "mail."

_EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_CYCLE_SECONDS = 146_097 * 86_400.0
"""After 400 years the calendar is the same."""
_MAX_TIME_CHARS = 64
"""A fraction of a second may have as many digits as anybody likes: here, so many that it fits."""
MAX_KNOWN: Final = 256
"""Names of events and of data types that are known to be right. There are few, and each comes again and again."""


def _refuse(fault: str | None) -> None:
    if fault:
        raise PydanticCustomError("fault", "{fault}", {"fault": fault})


def _check_account(value: str) -> str:
    _refuse(account_fault(value))
    return value


@lru_cache(MAX_KNOWN)
def _check_data_type(value: str) -> str:
    _refuse(data_type_fault(value))
    return value


def _check_state(value: str) -> str:
    _refuse(state_fault(value))
    return value


def _check_name(value: str) -> str:
    _refuse(text_fault(value, MAX_NAME_BYTES))
    return value


@lru_cache(MAX_KNOWN)
def _check_type(value: str) -> str:
    if not value.startswith(TYPE_PREFIX) or not _EVENT_NAME.fullmatch(value, len(TYPE_PREFIX)):
        _refuse(f"must be '{TYPE_PREFIX}' and an RFC 5423 event name, such as {TYPE_PREFIX}MessageNew")
    return event_name(value.removeprefix(TYPE_PREFIX))


def _read_time(value: object) -> float:
    """RFC 3339 to Unix seconds. A leap second counts as the one before it. The year 0 is one, to RFC 3339 alone."""
    if not isinstance(value, str) or len(value) > _MAX_TIME_CHARS or not _TIME.fullmatch(value):
        raise PydanticCustomError("time", "must be a time as RFC 3339 has it, such as 2026-01-31T09:30:00Z")
    text = value.upper()
    if text[17:19] == "60":
        text = f"{text[:17]}59{text[19:]}"
    earlier = 0.0
    if text.startswith("0000"):
        text, earlier = f"0400{text[4:]}", _CYCLE_SECONDS
    try:
        return datetime.fromisoformat(text).timestamp() - earlier
    except ValueError:
        raise PydanticCustomError("time", "is not a time that exists") from None


def _read_changed(data: object) -> object:
    """Of `data`, all that Tidings keeps."""
    if isinstance(data, dict) and "changed" in data:
        return {"changed": data["changed"]}
    return None


def cut(value: object) -> object:
    """Of a text that is too long for whatever it is meant for, as much as shows that it is."""
    return value[: MAX_NAME_BYTES + 1] if isinstance(value, str) else value


def _bound(changed: object) -> object:
    """As much of `changed` as is looked at; of too many members none."""
    if not isinstance(changed, dict):
        return changed
    if len(changed) > MAX_DATA_TYPES:
        _refuse(f"must name at most {MAX_DATA_TYPES} data types")
    return {cut(name): cut(state) for name, state in changed.items()}


def _text(most: int, description: str, **more: object) -> WithJsonSchema:
    """How a text is described. JSON Schema counts characters: a text may have fewer of them than bytes."""
    pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    return WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": most,
            "pattern": pattern,
            "description": f"{description} At most {most} bytes of UTF-8.",
            **more,
        }
    )


_DataType = Annotated[str, AfterValidator(_check_data_type)]
_State = Annotated[str, AfterValidator(_check_state)]
_Id = Annotated[str, AfterValidator(_check_name), _text(MAX_NAME_BYTES, "With `source` it names the event in logs.")]
_Source = Annotated[
    str, AfterValidator(_check_name), _text(MAX_NAME_BYTES, "A URI reference: where the change was seen.")
]
_Kind = Annotated[
    str,
    AfterValidator(_check_type),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{TYPE_PREFIX.replace('.', '[.]')}{_EVENT_NAME.pattern}$",
            "description": "`mail.` and an event name of RFC 5423. Names compare without case.",
        }
    ),
]
_Subject = Annotated[
    str,
    AfterValidator(_check_account),
    _text(MAX_ACCOUNT_BYTES, "The account.", pattern="^[^/\\u0000-\\u001f\\u007f-\\u009f]*$"),
]
_Time = Annotated[
    float,
    BeforeValidator(_read_time),
    WithJsonSchema(
        {
            "type": ["string", "null"],
            "format": "date-time",
            "maxLength": _MAX_TIME_CHARS,
            "description": "When the storage changed (RFC 3339). Tidings uses the time only to measure latency.",
        }
    ),
]
_Changed = Annotated[
    dict[_DataType, _State | None],
    BeforeValidator(_bound),
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_DATA_TYPES,
            "propertyNames": {"maxLength": MAX_DATA_TYPE_BYTES, "pattern": f"^{DATA_TYPE_PATTERN}$"},
            "additionalProperties": {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_STATE_BYTES},
            "description": "JMAP data type to its new state, or to null where the storage has no states. "
            "Required where the event name does not say which data types change.",
        }
    ),
]

_STRICT: Final = ConfigDict(strict=True)


# Dictionaries, which cost a third of what models do. Their docstrings are read by people: they are in the OpenAPI
# document.
class EventData(TypedDict):
    """The members of an event's data that Tidings reads. It accepts and drops all others."""

    # Data without the member is taken for none.
    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        strict=True, json_schema_extra=lambda schema: schema.pop("required", None)
    )

    changed: _Changed


class Event(TypedDict):
    """A CloudEvent for a change in one account. Tidings accepts and drops all other attributes."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    specversion: Literal["1.0"]
    id: _Id
    source: _Source
    type: _Kind
    subject: _Subject
    time: NotRequired[_Time]
    data: NotRequired[Annotated[EventData | None, BeforeValidator(_read_changed)]]


EVENT: Final = TypeAdapter(Event)
