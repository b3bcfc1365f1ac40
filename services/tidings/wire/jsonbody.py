"""JSON over HTTP, as every ingest path takes it: the header fields that say what a body is, and its decoding. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from tidings.errors import EventError

JSON: Final = "application/json"
MAX_NESTED: Final = 128_000
"""Objects and arrays in a body, counted by their first characters, of which texts may hold some too."""

_CHARSET = re.compile(r'charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)


def fields(headers: Iterable[tuple[str, str]], prefix: str | None = None) -> dict[str, str]:
    """The header fields that say what a body is, by lower-case name, and those whose names begin with `prefix`.

    Raises EventError 400 for one that is there twice.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in ("content-type", "content-encoding") or (prefix is not None and key.startswith(prefix)):
            if key in found:
                raise EventError(400, f"more than one {key} header")
            found[key] = value.strip()
    return found


def media_type(found: Mapping[str, str]) -> str:
    """The media type without parameters; of those only the charset matters, as JSON is UTF-8 (RFC 8259 section 8.1).

    Raises EventError 415 for another charset, and for a content coding.
    """
    if found.get("content-encoding", "identity").lower() != "identity":
        raise EventError(415, "a content coding is not accepted: send the body without content-encoding")
    name, _, parameters = found.get("content-type", "").partition(";")
    charset = _CHARSET.search(parameters) if parameters else None
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
        raise EventError(415, "JSON must be UTF-8: another charset is not accepted")
    return name.strip().lower()


def read(headers: Iterable[tuple[str, str]], body: bytes) -> object:
    """The JSON of a request that has to be one. Raises EventError, 415 for another content type."""
    if media_type(fields(headers)) != JSON:
        raise EventError(415, f"content type must be {JSON}")
    return decode(body)


class _AmbiguousJsonError(ValueError):
    """JSON that receivers read differently (RFC 8259 section 4, RFC 7493)."""


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _AmbiguousJsonError("a member occurs twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _AmbiguousJsonError(f"{name} is not a JSON value")


def decode(body: bytes) -> object:
    """Decode JSON as RFC 8259 has it, stricter than the library: unique members, no NaN, no depth that hurts."""
    if body.count(b"{") + body.count(b"[") > MAX_NESTED:
        raise EventError(400, f"the body holds more than {MAX_NESTED} objects and arrays")
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
