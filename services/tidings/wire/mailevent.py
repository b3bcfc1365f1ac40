"""What one CloudEvent means: the members that Tidings reads, and the change they tell. Pure.

`subject` is the account, `type` is `mail.` and an RFC 5423 event name, and `data.changed` maps JMAP data types to
states; without it the types follow from the event name. Everything else, mail content first, is dropped unread.
"""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidings.errors import Problem
from tidings.wire.change import ACCOUNT_CHANGED, DATA_TYPES, Change, anything_changed
from tidings.wire.event_model import EVENT, Event, cut

_MAX_FIELD_CHARS = 128
_MEMBERS: Final = tuple(Event.__annotations__)
_validate: Final = EVENT.validator.validate_python
ATTRIBUTES: Final = frozenset(_MEMBERS) - {"data"}
"""The context attributes that are read."""


def read(index: int, event: object, ingested: float) -> Change | list[Problem]:
    """The change that an event tells, or what is wrong with it.

    `event` is decoded JSON; `index` is its place in the request, and `ingested` when that came, in Unix seconds.
    """
    if not isinstance(event, dict):
        return [Problem(index, "", "must be a JSON object")]
    # A null attribute is an unset one (JSON event format section 2.2); only what is read is looked at.
    members = {name: cut(event[name]) for name in _MEMBERS if event.get(name) is not None}
    try:
        valid = _validate(members)
    except ValidationError as error:
        return [_problem(index, detail) for detail in error.errors(include_url=False, include_context=False)]
    account, kind, time, data = valid["subject"], valid["type"], valid.get("time"), valid.get("data")
    if kind == ACCOUNT_CHANGED:
        return anything_changed(account, source=valid["source"], event_id=valid["id"], ingested=ingested, time=time)
    if data is not None:
        changed = data["changed"]
    elif kind in DATA_TYPES:
        changed = dict.fromkeys(DATA_TYPES[kind])
    else:
        return [Problem(index, "data.changed", f"is required: the data types that {kind} changes are not known")]
    return Change(account, changed, kind, valid["id"], valid["source"], time, ingested)


_MESSAGES: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "must be Unicode without lone surrogates",
    "literal_error": "must be '1.0'",
    "dict_type": "must be an object of data types and states",
    "too_short": "must name a data type",
}


def _problem(index: int, detail: ErrorDetails) -> Problem:
    """One of pydantic's errors in our words. The path may hold a key of the sender's: made ASCII and cut."""
    path = ".".join(str(part)[:_MAX_FIELD_CHARS] for part in detail["loc"] if part != "[key]")
    field = path.encode("ascii", "backslashreplace").decode()[:_MAX_FIELD_CHARS]
    return Problem(index, field, _MESSAGES.get(detail["type"], detail["msg"]))
