"""JMAP over WebSocket (RFC 8887): what clients say and what they are told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

import msgspec

from tidings.errors import RequestRejected
from tidings.gateway.codecs.jmap_requests import request_body
from tidings.wire.change import data_type_fault

SUBPROTOCOL: Final = "jmap"
CORE: Final = "urn:ietf:params:jmap:core"
WEBSOCKET: Final = "urn:ietf:params:jmap:websocket"
CAPABILITIES: Final = frozenset({CORE, WEBSOCKET})
"""What the session resource offers."""
MAX_CALLS: Final = 16
MAX_DATA_TYPES: Final = 64
MAX_SAID: Final = 100
"""Characters of what a client said that an error repeats."""

Changed = Mapping[str, Mapping[str, str]]
"""Account -> data type -> state, as in a StateChange (RFC 8620 section 7.1)."""


class PushEnable(NamedTuple):
    """WebSocketPushEnable (RFC 8887 section 4.3.5.2). `data_types` None means all.

    `push_status`, a member of ours, asks to be told when changes cannot reach the client.
    """

    data_types: frozenset[str] | None
    push_state: str | None
    push_status: bool = False


class PushDisable(NamedTuple):
    """WebSocketPushDisable (RFC 8887 section 4.3.5.3)."""


class Reply(NamedTuple):
    """A message that only needs this answer."""

    payload: bytes
    failed: bool


class ApiRequest(NamedTuple):
    """A Request (RFC 8887 section 4.3.2) that somebody else answers; `body` is what it is over HTTP."""

    id: str | None
    body: bytes


class _StateChange(msgspec.Struct, tag_field="@type", tag="StateChange", omit_defaults=True, gc=False):
    changed: Changed
    pushState: str | None = None  # noqa: N815 - its name in JMAP


_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_encode_lines = _encoder.encode_lines
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()
_ids = msgspec.json.Decoder(dict[str, str]).decode
_NULL: Final = msgspec.Raw(b"null")
_TOO_MANY_TYPES: Final = f"at most {MAX_DATA_TYPES} names"


def state_change(changed: Changed, push_state: str | None = None) -> bytes:
    """A StateChange (RFC 8620 section 7.1), with `pushState` that of RFC 8887 section 4.3.5.1.

    An empty `changed` only moves the client's cursor.
    """
    return _encode(_StateChange(changed, push_state))


def state_changes(changes: Sequence[Changed], push_state: str) -> list[bytes]:
    """A StateChange for each, all with the same `pushState`."""
    # Lines, since JSON has no line break but between its tokens, where the encoder makes none.
    return _encode_lines([_StateChange(changed, push_state) for changed in changes]).split(b"\n")[:-1]


class _PushEnable(msgspec.Struct, gc=False):
    """What nearly every message is, and nothing wrong with it."""

    kind: Literal["WebSocketPushEnable"] = msgspec.field(name="@type")
    dataTypes: msgspec.Raw = _NULL  # noqa: N815 - its name in JMAP
    pushState: str | None = None  # noqa: N815 - its name in JMAP
    pushStatus: bool = False  # noqa: N815 - a name of ours, in JMAP
    id: str | None = None


_usual = msgspec.json.Decoder(_PushEnable).decode
_names = msgspec.json.Decoder(list[str] | None).decode


def push_status(*, stalled: bool) -> bytes:
    """A message of ours, for who asked for it: whether changes cannot reach the client for now."""
    return _encode({"@type": "PushStatus", "stalled": stalled})


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


def read_message(
    payload: bytes, accounts: tuple[str, ...], *, proxied: bool = False
) -> PushEnable | PushDisable | ApiRequest | Reply:
    """What a text message of a client with these accounts asks for; anything wrong becomes a RequestError reply.

    `proxied`: an API answers Requests, and judges what is in them.
    """
    try:
        usual = _usual(payload)
        if bytes(usual.dataTypes).count(b",") >= MAX_DATA_TYPES:
            # No name has a comma. What has too many of them is not decoded.
            return request_error("notRequest", f"dataTypes: {_TOO_MANY_TYPES}")
        names = _names(usual.dataTypes)
    except (msgspec.DecodeError, RecursionError):
        return _read_other(payload, accounts, proxied=proxied)
    if names is None:
        return PushEnable(None, usual.pushState, usual.pushStatus)
    fault = _types_fault(names)
    if fault:
        return request_error("notRequest", f"dataTypes: {fault}")
    return PushEnable(frozenset(names), usual.pushState, usual.pushStatus)


def _read_other(payload: bytes, accounts: tuple[str, ...], *, proxied: bool) -> PushDisable | ApiRequest | Reply:
    """What it is that is no WebSocketPushEnable, or one with something wrong in it."""
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
            return request_error("notRequest", _push_enable_fault(members))
        if kind == "WebSocketPushDisable":
            return PushDisable()
        if kind == "Request":
            if proxied:
                return ApiRequest(request_id, request_body(members))
            return _request(members, request_id, session_state(accounts))
    except (msgspec.DecodeError, RecursionError):
        return request_error("notJSON", "the message is not I-JSON")
    return request_error("notRequest", "@type must be Request or WebSocketPushEnable/Disable", request_id)


def _not_an_object(payload: bytes) -> Reply:
    try:
        _any.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return request_error("notJSON", "the message is not I-JSON")
    return request_error("notRequest", "the message is not an object")


def _push_enable_fault(members: Mapping[str, msgspec.Raw]) -> str:
    """Why something that says it is a WebSocketPushEnable is none."""
    names = _any.decode(members["dataTypes"]) if "dataTypes" in members else None
    push_state = _any.decode(members["pushState"]) if "pushState" in members else None
    push_status = _any.decode(members["pushStatus"]) if "pushStatus" in members else False
    if push_state is not None and not isinstance(push_state, str):
        return "pushState must be a string or null"
    if not isinstance(push_status, bool):
        return "pushStatus must be true or false"
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return "dataTypes must be a list of strings or null"
    return "@type is given twice"


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
        return _TOO_MANY_TYPES
    fault = next((fault for name in names if (fault := data_type_fault(name))), None)
    return f"each {fault}" if fault else None


class _Call(NamedTuple):
    """A method call (RFC 8620 section 3.2). `arguments` are an object, and are not read."""

    name: str
    arguments: msgspec.Raw
    id: str


_calls = msgspec.json.Decoder(list[_Call]).decode


def _request(members: Mapping[str, msgspec.Raw], request_id: str | None, session_state: str) -> Reply:
    """The answer to a Request (RFC 8620 section 3.3)."""
    using = _any.decode(members["using"]) if "using" in members else None
    if not isinstance(using, list) or not all(isinstance(name, str) for name in using):
        return request_error("notRequest", "using must be a list of strings", request_id)
    unknown = next((name for name in using if name not in CAPABILITIES), None)
    if unknown is not None:
        detail = f"using names {unknown[:MAX_SAID]!r}, which the session does not offer"
        return request_error("unknownCapability", detail, request_id)
    try:
        calls = _calls(members.get("methodCalls", _NULL))
    except msgspec.DecodeError:
        return request_error("notRequest", "methodCalls must be a list of [name, arguments, id]", request_id)
    if any(not bytes(call.arguments).lstrip().startswith(b"{") for call in calls):
        return request_error("notRequest", "the arguments of a method call must be an object", request_id)
    if len(calls) > MAX_CALLS:
        detail = f"at most {MAX_CALLS} method calls"
        return request_error("limit", detail, request_id, limit="maxCallsInRequest")
    response: dict[str, Any] = {
        "@type": "Response",
        "methodResponses": [_respond(call) for call in calls],
        "sessionState": session_state,
    }
    if request_id is not None:
        response["requestId"] = request_id
    created = members.get("createdIds", _NULL)
    if bytes(created) != b"null":
        try:
            # RFC 8620 section 3.4: those given, and those created here, which are none.
            response["createdIds"] = _ids(created)
        except msgspec.DecodeError:
            return request_error("notRequest", "createdIds must be an object of ids by id", request_id)
    return Reply(_encode(response), failed=False)


def _respond(call: _Call) -> tuple[str, Any, str]:
    if call.name != "Core/echo":
        return _error("unknownMethod", "Tidings only pushes: send method calls to your JMAP server", call.id)
    if any(name.startswith("#") for name in _raw.decode(call.arguments)):
        # They would have to be copied into the arguments (RFC 8620 section 3.7): of each call, and into the next one.
        return _error("invalidResultReference", "references to results are not supported", call.id)
    return call.name, call.arguments, call.id


def _error(kind: str, description: str, call_id: str) -> tuple[str, Any, str]:
    """A method-level error (RFC 8620 section 3.6.2)."""
    return "error", {"type": kind, "description": description}, call_id


WEBSOCKET_PATH: Final = "/jmap/ws"


def websocket_url(base: str) -> str:
    """Where the WebSocket is below a URL of HTTP."""
    scheme, _, rest = base.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{WEBSOCKET_PATH}"


def session_state(accounts: tuple[str, ...]) -> str:
    """The session resource's `state` (RFC 8620 section 2): it changes when the user's accounts do."""
    return f"{crc32('/'.join(accounts).encode()):08x}"


EVENTSOURCE_PATH: Final = "/jmap/eventsource"
