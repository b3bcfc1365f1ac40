"""JMAP over WebSocket (RFC 8887): what clients say and what they are told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tidings.errors import RequestRejected
from tidings.wire.change import data_type_fault

SUBPROTOCOL: Final = "jmap"
CORE: Final = "urn:ietf:params:jmap:core"
WEBSOCKET: Final = "urn:ietf:params:jmap:websocket"
MAX_CALLS: Final = 16
MAX_DATA_TYPES: Final = 64

Changed = Mapping[str, Mapping[str, str]]
"""Account -> data type -> state, as in a StateChange (RFC 8620 section 7.1)."""


class PushEnable(NamedTuple):
    """WebSocketPushEnable (RFC 8887 section 4.3.5.2). `data_types` None means all."""

    data_types: frozenset[str] | None
    push_state: str | None


class PushDisable(NamedTuple):
    """WebSocketPushDisable (RFC 8887 section 4.3.5.3)."""


class Reply(NamedTuple):
    """A message that only needs this answer."""

    payload: bytes
    failed: bool


class _StateChange(msgspec.Struct, tag_field="@type", tag="StateChange", omit_defaults=True, gc=False):
    changed: Changed
    pushState: str | None = None  # noqa: N815 - its name in JMAP


_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_encode_lines = _encoder.encode_lines
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()


def state_change(changed: Changed, push_state: str | None = None) -> bytes:
    """A StateChange (RFC 8620 section 7.1), with `pushState` that of RFC 8887 section 4.3.5.1.

    An empty `changed` only moves the client's cursor.
    """
    return _encode(_StateChange(changed, push_state))


def state_changes(changes: Sequence[Changed], push_state: str) -> list[bytes]:
    """A StateChange for each, all with the same `pushState`."""
    # Lines, since JSON has no line break but between its tokens, where the encoder makes none.
    return _encode_lines([_StateChange(changed, push_state) for changed in changes]).split(b"\n")[:-1]


def request_error(kind: str, detail: str, request_id: str | None = None, **members: object) -> Reply:
    """A RequestError (RFC 8887 section 4.3.4); `kind` is the last part of the error URN (RFC 8620 section 3.6.1)."""
    error = {
        "@type": "RequestError",
        "requestId": request_id,
        "type": f"urn:ietf:params:jmap:error:{kind}",
        "status": 400,
        "detail": detail,
        **members,
    }
    return Reply(_encode(error), failed=True)


def read_message(payload: bytes, session_state: str) -> PushEnable | PushDisable | Reply:
    """What a client's text message asks for; anything wrong with it becomes a RequestError reply."""
    try:
        members = _raw.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return _not_an_object(payload)
    try:
        kind = _any.decode(members["@type"]) if "@type" in members else None
        request_id = _any.decode(members["id"]) if "id" in members else None
        if request_id is not None and not isinstance(request_id, str):
            return request_error("notRequest", "id must be a string")
        if kind == "WebSocketPushEnable":
            return _push_enable(members)
        if kind == "WebSocketPushDisable":
            return PushDisable()
        if kind == "Request":
            return _request(members, request_id, session_state)
    except (msgspec.DecodeError, RecursionError):
        return request_error("notJSON", "the message is not I-JSON")
    return request_error("notRequest", "@type must be Request or WebSocketPushEnable/Disable", request_id)


def _not_an_object(payload: bytes) -> Reply:
    try:
        _any.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return request_error("notJSON", "the message is not I-JSON")
    return request_error("notRequest", "the message is not an object")


def _push_enable(members: Mapping[str, msgspec.Raw]) -> PushEnable | Reply:
    names = _any.decode(members["dataTypes"]) if "dataTypes" in members else None
    push_state = _any.decode(members["pushState"]) if "pushState" in members else None
    if push_state is not None and not isinstance(push_state, str):
        return request_error("notRequest", "pushState must be a string or null")
    if names is None:
        return PushEnable(None, push_state)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return request_error("notRequest", "dataTypes must be a list of strings or null")
    fault = _types_fault(names)
    if fault:
        return request_error("notRequest", f"dataTypes: {fault}")
    return PushEnable(frozenset(names), push_state)


def read_types(text: str) -> frozenset[str] | None:
    """The `types` of a URL (RFC 8620 section 7.3): names with commas between, or `*` for all, which is None.

    Raises RequestRejected with 400.
    """
    if text == "*":
        return None
    names = text.split(",")
    fault = _types_fault(names)
    if fault:
        raise RequestRejected(400, "bad_types", f"types: {fault}")
    return frozenset(names)


def _types_fault(names: list[str]) -> str | None:
    if len(names) > MAX_DATA_TYPES:
        return f"at most {MAX_DATA_TYPES} names"
    fault = next((fault for name in names if (fault := data_type_fault(name))), None)
    return f"each {fault}" if fault else None


def _request(members: Mapping[str, msgspec.Raw], request_id: str | None, session_state: str) -> Reply:
    using = _any.decode(members["using"]) if "using" in members else None
    if not isinstance(using, list) or not all(isinstance(name, str) for name in using):
        return request_error("notRequest", "using must be a list of strings", request_id)
    try:
        calls = msgspec.json.decode(members.get("methodCalls", b"null"), type=list[tuple[str, msgspec.Raw, str]])
    except msgspec.DecodeError:
        return request_error("notRequest", "methodCalls must be a list of [name, arguments, id]", request_id)
    if any(not bytes(arguments).lstrip().startswith(b"{") for _, arguments, _ in calls):
        return request_error("notRequest", "the arguments of a method call are an object", request_id)
    if len(calls) > MAX_CALLS:
        detail = f"at most {MAX_CALLS} method calls"
        return request_error("limit", detail, request_id, limit="maxCallsInRequest")
    responses: list[tuple[str, Any, str]] = [
        (name, arguments, call_id)
        if name == "Core/echo"
        else (
            "error",
            {"type": "unknownMethod", "description": "Tidings pushes; ask your JMAP server"},
            call_id,
        )
        for name, arguments, call_id in calls
    ]
    response: dict[str, Any] = {
        "@type": "Response",
        "methodResponses": responses,
        "sessionState": session_state,
    }
    if request_id is not None:
        response["requestId"] = request_id
    return Reply(_encode(response), failed=False)
