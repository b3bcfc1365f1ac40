"""The session resource of a JMAP server (RFC 8620 section 2), with its push URLs leading here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from tidings.errors import UpstreamFault
from tidings.gateway.codecs.jmap import CORE, EVENTSOURCE_PATH, WEBSOCKET, websocket_url

MAIL: Final = "urn:ietf:params:jmap:mail"
MAX_PATH_CHARACTERS: Final = 1_024
MAX_AT_ONCE: Final = 4
"""Requests of one WebSocket that are passed on at once."""
_URLS: Final = ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl")


class _Known(msgspec.Struct, gc=False):
    """What is read of a session; everything else is passed on as it is."""

    capabilities: dict[str, msgspec.Raw]
    accounts: dict[str, msgspec.Raw]
    primaryAccounts: dict[str, str]  # noqa: N815 - its name in JMAP
    apiUrl: str  # noqa: N815


_known = msgspec.json.Decoder(_Known).decode
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_limits = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Proxied:
    """That requests over the WebSocket are passed on, of at most `max_message` bytes."""

    max_message: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the server gave it at `path`. `accounts` begins with the primary one, and has each once."""

    path: str
    members: Mapping[str, msgspec.Raw]
    capabilities: Mapping[str, msgspec.Raw]
    accounts: tuple[str, ...]
    api_path: str
    """Path and query of its API, for a request to the server itself."""


def read_session(body: bytes, path: str) -> Session:
    """A session that was found at `path` of the server. Raises UpstreamFault (502) for what is none."""
    try:
        known, members = _known(body), _raw(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise UpstreamFault(502, "the JMAP server did not answer with a session resource") from None
    primary = known.primaryAccounts
    first = [primary[MAIL]] if MAIL in primary else []
    named = dict.fromkeys((*first, *primary.values(), *known.accounts))
    accounts = tuple(account for account in named if account in known.accounts)
    return Session(path, members, known.capabilities, accounts, asked_path(path, known.apiUrl))


def asked_path(path: str, reference: str) -> str:
    """Path and query that a URL in what was found at `path` names, whatever host it names.

    A server behind others may not know where it is asked, and nobody but the server that was set is asked. Raises
    UpstreamFault (502) for what is no URL of HTTP.
    """
    try:
        parts = urlsplit(urljoin(f"http://upstream{path}", reference))
    except ValueError:
        parts = urlsplit("")
    found = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    readable = found.isascii() and found.isprintable() and " " not in found and len(found) <= MAX_PATH_CHARACTERS
    if parts.scheme not in ("http", "https") or not readable or not found.startswith("/"):
        raise UpstreamFault(502, "the session of the JMAP server has a URL that is not valid")
    return found


def fronted(session: Session, base: str, pushing: str, token: str, proxied: Proxied | None) -> bytes:
    """The session for a client that asked at `base` (`https://host`): `token` is in its push URLs, below `pushing`.

    URLs without a host are the client's to resolve against where it asked (RFC 3986 section 5.1.3), which few do.
    The server's own WebSocket is left out: changes would be pushed by it, not by us.
    """
    members: dict[str, Any] = dict(session.members)
    for name in _URLS:
        if name in members:
            members[name] = _absolute(members[name], base + session.path)
    capabilities: dict[str, Any] = dict(session.capabilities)
    capabilities.pop(WEBSOCKET, None)
    shown = quote(token, safe="")
    if proxied is not None:
        url = f"{websocket_url(pushing)}?access_token={shown}"
        capabilities[WEBSOCKET] = {"url": url, "supportsPush": True}
        capabilities[CORE] = _bounded(capabilities.get(CORE), proxied)
    query = f"types={{types}}&closeafter={{closeafter}}&ping={{ping}}&access_token={shown}"
    return _encode({**members, "capabilities": capabilities, "eventSourceUrl": f"{pushing}{EVENTSOURCE_PATH}?{query}"})


def _absolute(url: msgspec.Raw, at: str) -> object:
    try:
        return urljoin(at, msgspec.json.decode(url, type=str))
    except (msgspec.DecodeError, ValueError):
        return url


def _bounded(core: msgspec.Raw | None, proxied: Proxied) -> object:
    """The limits of the server, or ours where a WebSocket takes less."""
    try:
        limits = {} if core is None else _limits(core)
    except (msgspec.DecodeError, ValueError, RecursionError):
        limits = {}
    for name, ours in (("maxSizeRequest", proxied.max_message), ("maxConcurrentRequests", MAX_AT_ONCE)):
        theirs = limits.get(name)
        limits[name] = min(theirs, ours) if isinstance(theirs, int) else ours
    return limits
