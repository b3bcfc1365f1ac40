"""CloudEvents 1.0 over HTTP to changes: structured, batched and binary mode (HTTP protocol binding 1.0.2). Pure.

How a request holds events; what an event means is mailevent's. `data_base64` is accepted and not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from tidings.errors import EventError, Problem
from tidings.wire import envelopes, jsonbody, mailevent, tracecontext
from tidings.wire.change import Change

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
MAX_EVENTS: Final = 1_000
MAX_PROBLEMS: Final = 100
"""A request is told of this many problems at most."""

_ATTRIBUTES = mailevent.ATTRIBUTES | envelopes.ATTRIBUTES
# A token has no slash: two parts that both match one take quadratic time.
_TYPE_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_JSON_TYPE = re.compile(rf"application/json|{_TYPE_NAME}/{_TYPE_NAME}\+json")
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"')
_ESCAPED = re.compile(r"\\(.)")


def parse(headers: Iterable[tuple[str, str]], body: bytes, ingested: float, *, traced: bool = False) -> list[Change]:
    """The changes of one ingest request, in order; all of them or none.

    `headers` are the request's, names in any case; `ingested` is when the request came, in Unix seconds. Where they are
    to be `traced`, a change has the context of its event's traceparent.

    Raises EventError: 400 for what is not JSON or not HTTP as the binding has it, or has more than MAX_NESTED objects
    and arrays; 413 for more than MAX_EVENTS events; 415 for another content type or a content coding; 422 for events
    that do not mean a change. Its problems name the index of each event and the member, for binary mode by the
    attribute's name.
    """
    fields = jsonbody.fields(headers, "ce-")
    media_type = jsonbody.media_type(fields)
    if media_type == STRUCTURED:
        return _changes([jsonbody.decode(body)], ingested, traced)
    if media_type == BATCHED:
        events = jsonbody.decode(body)
        if not isinstance(events, list):
            raise EventError(422, "a batch must be a JSON array of events")
        if len(events) > MAX_EVENTS:
            raise EventError(413, f"{len(events)} events, at most {MAX_EVENTS} are taken at once")
        return _changes(events, ingested, traced)
    if media_type.startswith("application/cloudevents") or not any(name.startswith("ce-") for name in fields):
        raise EventError(415, f"content type must be {STRUCTURED}, {BATCHED}, or JSON with ce-* headers")
    return _changes([_binary(fields, media_type, body)], ingested, traced)


def _binary(fields: Mapping[str, str], media_type: str, body: bytes) -> dict[str, object]:
    """An event whose attributes are headers and whose data is the body (HTTP binding section 3.1)."""
    if "ce-datacontenttype" in fields:
        raise EventError(400, "ce-datacontenttype must not be sent: use content-type")
    # As it is: where it is right, there is nothing in it to decode, and nobody is refused where it is not.
    event: dict[str, object] = {tracecontext.ATTRIBUTE: fields.get(f"ce-{tracecontext.ATTRIBUTE}")}
    problems = []
    for key, value in fields.items():
        name = key.removeprefix("ce-")
        if name in _ATTRIBUTES and key != name:
            try:
                event[name] = _attribute(value)
            except ValueError:
                problems.append(Problem(0, name, "must be printable ASCII, anything else percent-encoded UTF-8"))
    if problems:
        raise EventError(422, "an attribute is not encoded as the HTTP binding requires", tuple(problems))
    if body:
        if not _JSON_TYPE.fullmatch(media_type):
            raise EventError(415, "data must be JSON: application/json")
        event["data"] = jsonbody.decode(body)
    return event


def _attribute(value: str) -> str:
    """Decode a ce-* header's value: unquote once, then percent-decode once (HTTP binding section 3.1.3.2)."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError("not printable ASCII")
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        value = _ESCAPED.sub(r"\1", quoted[1])
    return unquote(value, errors="strict")


def _changes(events: list[object], ingested: float, traced: bool) -> list[Change]:
    changes: list[Change] = []
    problems: list[Problem] = []
    for index, event in enumerate(events):
        inner = envelopes.opened(event)
        # It tells nothing. A null is no event, and refused.
        if inner is None and event is not None:
            continue
        found = mailevent.read(index, inner, ingested)
        if isinstance(found, Change):
            changes.append(tracecontext.traced(found, _context(event)) if traced else found)
        else:
            problems += found
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise EventError(422, "no event was taken: see problems", tuple(problems[:MAX_PROBLEMS]))
    return changes


def _context(event: object) -> bytes | None:
    return tracecontext.read(event.get(tracecontext.ATTRIBUTE)) if isinstance(event, Mapping) else None
