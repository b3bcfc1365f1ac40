"""What every listener asks of the head of a request, whoever has read it (RFC 9112 section 3.2). Pure.

Two servers in a row must not read one request in two ways: what could be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from tidings.errors import RequestRejected

SINGLETONS: Final = frozenset(
    {
        "host",
        "origin",
        "authorization",
        "content-length",
        "content-type",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-fetch-site",
    }
)
"""Fields that a request has once at most."""

_TARGET = re.compile(r"(?:(?i:https?)://([^/?#]*))?(/[^?#]*|\*)?(?:\?([^#]*))?")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-fv:.]+\])(?::[0-9]*)?")
# An encoded slash is part of a name to one reader and ends it for another; so with what ends a string in C, or a line.
_AMBIGUOUS = re.compile(r"%(?:2[Ff]|[01][0-9A-Fa-f]|7[Ff]|(?![0-9A-Fa-f]{2}))")


class Target(NamedTuple):
    """What is asked for, percent-encoded as it came, and the host that is asked."""

    path: str
    query: str
    host: str | None


def malformed(detail: str) -> RequestRejected:
    """The rejection of a head that is not HTTP/1.1 as it should be."""
    return RequestRejected(400, "malformed_head", detail)


def check_version(major: int) -> None:
    """Raise RequestRejected (505) for another major version of HTTP than 1."""
    if major != 1:
        raise RequestRejected(505, "http_version", "only HTTP/1.x is supported")


def check_names(names: Iterable[str]) -> None:
    """Raise RequestRejected (400) when a field that is given once at most is among the lower-case names twice."""
    given = [name for name in names if name in SINGLETONS]
    if len(given) != len(set(given)):
        raise given_twice(next(name for name in given if given.count(name) > 1))


def given_twice(name: str) -> RequestRejected:
    """The rejection of a head with a field twice that is given once at most."""
    return malformed(f"{name} is given twice")


def read_target(method: str, target: str, host: str | None, version: tuple[int, int]) -> Target:
    """The request target of a request with this Host, None for none.

    The authority of an absolute target replaces Host (RFC 9112 section 3.2.2). Raises RequestRejected (400) for a
    Host that is missing or no host, for a target that is malformed or `*` for another method than OPTIONS, and for a
    path with an encoded slash or control character.
    """
    if host is None and version >= (1, 1):
        raise malformed("Host is missing")
    match = _TARGET.fullmatch(target)
    if match is None or (match[1] is None and match[2] is None):
        raise malformed("the request target is malformed")
    path = match[2] or "/"
    if path == "*" and method != "OPTIONS":
        raise malformed("the request target * is for OPTIONS")
    if "%" in path and _AMBIGUOUS.search(path):
        raise malformed("the path has an encoded slash or control character, or a % without two digits behind it")
    for name in (host, match[1]):
        if name is not None and _HOST.fullmatch(name) is None:
            raise malformed("Host is malformed")
    return Target(path, match[3] or "", host if match[1] is None else match[1])
