"""What is asked of the JMAP server over HTTP, and what of its answers is passed on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tidings.errors import UpstreamFault
from tidings.gateway.codecs.jmap_session import asked_path

VIA: Final = "1.1 tidings"
"""How a request that was passed on is known when it comes back here (RFC 9110 section 7.6.3)."""
SESSION_PATH: Final = "/.well-known/jmap"
MAX_AUTHORIZATION_CHARACTERS: Final = 8_192
_SCHEMES: Final = frozenset({"basic", "bearer"})
_PASSED_ON: Final = ("content-type", "retry-after", "www-authenticate")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom something is asked: an Authorization field, which is not shown, and an X-Forwarded-For; either may
    be empty.
    """

    authorization: str
    forwarded_for: str

    def __repr__(self) -> str:
        return "Caller(...)"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered at `path`."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def passed_on(self) -> dict[str, str]:
        """The fields that go with its status and body."""
        return {name: self.headers[name] for name in _PASSED_ON if name in self.headers}

    @property
    def redirect(self) -> str | None:
        """The path to ask instead, if any. Raises UpstreamFault (502) for a location that is none."""
        location = self.headers.get("location")
        return asked_path(self.path, location) if self.status in _REDIRECTS and location is not None else None


def credential(headers: Mapping[str, str]) -> str:
    """The Authorization of a request as far as it is passed on; empty: none.

    Basic and Bearer speak for one request. NTLM and Negotiate speak for the connection that they come over, and one
    connection to the server carries what many clients ask.
    """
    found = headers.get("authorization", "").strip(" \t")
    passed = found.partition(" ")[0].lower() in _SCHEMES and len(found) <= MAX_AUTHORIZATION_CHARACTERS
    return found if passed and found.isascii() else ""


def request_fields(caller: Caller, host: str, body: bytes | None) -> dict[str, str]:
    """The header of a request to the server; with a body it is a call of the API."""
    fields = {
        "Host": host,
        "Accept": "application/json",
        # Uncompressed: what is compressed has no size that could be bounded before it is there.
        "Accept-Encoding": "identity",
        "User-Agent": "tidings",
        "Via": VIA,
    }
    if caller.authorization:
        fields["Authorization"] = caller.authorization
    if caller.forwarded_for:
        fields["X-Forwarded-For"] = caller.forwarded_for
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return fields


def check_no_loop(headers: Mapping[str, str]) -> None:
    """Raise UpstreamFault (508) for a request that came from a gateway: the server that was set leads back here."""
    if VIA in headers.get("via", ""):
        detail = "the request came from a gateway: --jmap-upstream must not lead to a gateway"
        raise UpstreamFault(HTTPStatus.LOOP_DETECTED, detail)
