"""CloudEvents 1.0 over HTTP to changes: structured, batched and binary content mode (HTTP protocol binding 1.0.2).

How a request holds events; what an event means is mailevent's. `data_base64` is accepted and not looked into.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn
from urllib.parse import unquote

from tidings.errors import EventError, Problem
from tidings.wire import mailevent
from tidings.wire.change import Change

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
MAX_EVENTS: Final = 1_000
MAX_PROBLEMS: Final = 100
"""A request is told of this many problems at most."""

_JSON_TYPE = re.compile(r"application/json|[!-~]+/[!-~]+\+json")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def parse(headers: Iterable[tuple[str, str]], body: bytes, ingested: float) -> list[Change]:
    """The changes of one ingest request, in order; all of them or none.

    `headers` are the request's, names in any case; `ingested` is when the request came, in Unix seconds.

    Raises EventError: 400 for what is not JSON or not HTTP as the binding has it, 413 for more than MAX_EVENTS events,
    415 for another content type or a content coding, 422 for events that do not mean a change. Its problems name
    the index of each event and the member, for binary mode by the attribute's name.
    """
    fields = _fields(headers)
    if fields.get("content-encoding", "identity").lower() != "identity":
        raise EventError(415, "a content coding is not accepted: send the body as it is")
    media_type = _media_type(fields.get("content-type", ""))
    if media_type == STRUCTURED:
        return _changes([_json(body)], ingested)
    if media_type == BATCHED:
        events = _json(body)
        if not isinstance(events, list):
            raise EventError(422, "a batch is a JSON array of events")
        if len(events) > MAX_EVENTS:
            raise EventError(413, f"{len(events)} events, at most {MAX_EVENTS} are taken at once")
        return _changes(events, ingested)
    if media_type.startswith("application/cloudevents") or not any(name.startswith("ce-") for name in fields):
        raise EventError(415, f"content type must be {STRUCTURED}, {BATCHED}, or JSON with ce-* headers")
    return _changes([_binary(fields, media_type, body)], ingested)


def _fields(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The header fields that matter here, by lower-case name."""
    fields: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in ("content-type", "content-encoding") or key.startswith("ce-"):
            if key in fields:
                raise EventError(400, f"more than one {key} header")
            fields[key] = value.strip()
    return fields


def _media_type(content_type: str) -> str:
    """The media type without parameters; of those only the charset matters, as JSON is UTF-8 (RFC 8259 section 8.1)."""
    media_type, _, parameters = content_type.partition(";")
    charset = re.search(r'charset\s*=\s*"?([^\s";]*)', parameters, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
        raise EventError(415, "JSON is UTF-8: another charset is not accepted")
    return media_type.strip().lower()


def _binary(fields: Mapping[str, str], media_type: str, body: bytes) -> dict[str, object]:
    """An event whose attributes are headers and whose data is the body (HTTP binding section 3.1)."""
    if "ce-datacontenttype" in fields:
        raise EventError(400, "ce-datacontenttype is not a header: content-type says it")
    event: dict[str, object] = {}
    problems = []
    for key, value in fields.items():
        name = key.removeprefix("ce-")
        if name in mailevent.ATTRIBUTES and key != name:
            try:
                event[name] = _attribute(value)
            except ValueError:
                problems.append(Problem(0, name, "must be printable ASCII, anything else percent-encoded UTF-8"))
    if problems:
        raise EventError(422, "an attribute is not encoded as the HTTP binding wants it", tuple(problems))
    if body:
        if not _JSON_TYPE.fullmatch(media_type):
            raise EventError(415, "data must be JSON: application/json")
        event["data"] = _json(body)
    return event


def _attribute(value: str) -> str:
    """Decode a ce-* header's value: unquote once, then percent-decode once (HTTP binding section 3.1.3.2)."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError("not printable ASCII")
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    return unquote(value, errors="strict")


class _AmbiguousJsonError(ValueError):
    """JSON that receivers read differently (RFC 8259 section 4, RFC 7493)."""


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _AmbiguousJsonError("a member occurs twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _AmbiguousJsonError(f"{name} is no JSON value")


def _json(body: bytes) -> object:
    """Decode JSON as RFC 8259 has it, stricter than the library: unique members, no NaN, no depth that hurts."""
    try:
        value: object = json.loads(body.decode(), object_pairs_hook=_unique_members, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise EventError(400, f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise EventError(400, f"the body is not JSON: {error.msg} at {where}") from None
    except _AmbiguousJsonError as error:
        raise EventError(400, f"the body is not JSON: {error}") from None
    except ValueError:
        # Python's own bound on int(), against quadratic time.
        raise EventError(400, "the body holds a number of too many digits") from None
    except RecursionError:
        raise EventError(400, "the body is nested too deep") from None
    return value


def _changes(events: list[object], ingested: float) -> list[Change]:
    changes: list[Change] = []
    problems: list[Problem] = []
    for index, event in enumerate(events):
        found = mailevent.read(index, event, ingested)
        if isinstance(found, Change):
            changes.append(found)
        else:
            problems += found
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise EventError(422, "no event was taken: see problems", tuple(problems[:MAX_PROBLEMS]))
    return changes
