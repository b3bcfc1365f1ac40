"""What one CloudEvent means: the members that Tidings reads, and the change they tell.

`subject` is the account, `type` is `mail.` and an RFC 5423 event name, and `data.changed` maps JMAP data types to
states; without it the types follow from the event name. Everything else, mail content first, is dropped unread.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tidings.errors import Problem
from tidings.wire.change import (
    DATA_TYPES,
    MAX_DATA_TYPES,
    MAX_NAME_BYTES,
    Change,
    account_fault,
    data_type_fault,
    state_fault,
)

TYPE_PREFIX: Final = "mail."

_EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_MAX_FIELD_CHARS = 128


def _refuse(fault: str | None) -> None:
    if fault:
        raise PydanticCustomError("fault", "{fault}", {"fault": fault})


def _check_account(value: str) -> str:
    _refuse(account_fault(value))
    return value


def _check_data_type(value: str) -> str:
    _refuse(data_type_fault(value))
    return value


def _check_state(value: str) -> str:
    _refuse(state_fault(value))
    return value


def _check_name(value: str) -> str:
    if not value:
        _refuse("must not be empty")
    if _UNPRINTABLE.search(value):
        _refuse("must not contain control characters")
    if len(value.encode()) > MAX_NAME_BYTES:
        _refuse(f"must be at most {MAX_NAME_BYTES} bytes of UTF-8")
    return value


def _check_type(value: str) -> str:
    if not value.startswith(TYPE_PREFIX) or not _EVENT_NAME.fullmatch(value, len(TYPE_PREFIX)):
        _refuse(f"must be '{TYPE_PREFIX}' and an RFC 5423 event name, such as {TYPE_PREFIX}MessageNew")
    return value.removeprefix(TYPE_PREFIX)


def _read_time(value: object) -> float:
    """RFC 3339 to Unix seconds. A leap second counts as the one before it."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise PydanticCustomError("time", "must be a time as RFC 3339 has it, such as 2026-01-31T09:30:00Z")
    text = value.upper()
    if text[17:19] == "60":
        text = f"{text[:17]}59{text[19:]}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise PydanticCustomError("time", "is no time that exists") from None


def _read_changed(data: object) -> object:
    """Of `data`, all that Tidings keeps."""
    if isinstance(data, dict) and "changed" in data:
        return {"changed": data["changed"]}
    return None


_DataType = Annotated[str, AfterValidator(_check_data_type)]
_State = Annotated[str, AfterValidator(_check_state)]
_Name = Annotated[str, AfterValidator(_check_name)]


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    changed: dict[_DataType, _State | None] = Field(min_length=1, max_length=MAX_DATA_TYPES)


class _Event(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    specversion: Literal["1.0"]
    id: _Name
    source: _Name
    type: Annotated[str, AfterValidator(_check_type)]
    subject: Annotated[str, AfterValidator(_check_account)]
    time: Annotated[float, BeforeValidator(_read_time)] | None = None
    data: Annotated[_Data | None, BeforeValidator(_read_changed)] = None


ATTRIBUTES: Final = frozenset(_Event.model_fields) - {"data"}
"""The context attributes that are read."""


def read(index: int, event: object, ingested: float) -> Change | list[Problem]:
    """The change that an event tells, or what is wrong with it.

    `event` is decoded JSON; `index` is its place in the request, and `ingested` when that came, in Unix seconds.
    """
    if not isinstance(event, dict):
        return [Problem(index, "", "must be a JSON object")]
    # A null attribute is an unset one (JSON event format section 2.2); only what is read is looked at.
    members = {name: event[name] for name in _Event.model_fields if event.get(name) is not None}
    try:
        valid = _Event.model_validate(members)
    except ValidationError as error:
        return [_problem(index, detail) for detail in error.errors(include_url=False, include_context=False)]
    if valid.data is not None:
        changed = dict(valid.data.changed)
    elif valid.type in DATA_TYPES:
        changed = dict.fromkeys(DATA_TYPES[valid.type])
    else:
        return [Problem(index, "data.changed", f"is required: what {valid.type} changes is not known")]
    return Change(valid.subject, changed, valid.type, valid.id, valid.source, valid.time, ingested)


_MESSAGES: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "must be Unicode without lone surrogates",
    "literal_error": "must be '1.0'",
    "dict_type": "must be an object of data types and states",
    "too_short": "must name a data type",
    "too_long": f"must name at most {MAX_DATA_TYPES} data types",
}


def _problem(index: int, detail: ErrorDetails) -> Problem:
    """One of pydantic's errors in our words. The path may hold a key of the sender's: made ASCII and cut."""
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    field = path.encode("ascii", "backslashreplace").decode()[:_MAX_FIELD_CHARS]
    return Problem(index, field, _MESSAGES.get(detail["type"], detail["msg"]))
